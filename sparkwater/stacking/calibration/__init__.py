"""Calibration of an ensemble's probabilities, and how well they are calibrated."""
