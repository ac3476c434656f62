"""Fitted stages as parts of a graph: Spark's, the project's, and ensembles of both."""
