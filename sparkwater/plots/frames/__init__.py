"""Plots of bounded parts of DataFrames: explanations, and pictures."""
