"""The report of an ensemble: one HTML page with its tables and plots, and nothing to load."""
