"""Scoring of DataFrames by networks: output columns and prediction columns."""
