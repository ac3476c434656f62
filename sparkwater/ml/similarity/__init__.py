"""Distances between rows, and the nearest rows."""
