"""Columns of a fit: features, labels, row weights and validation flags."""
