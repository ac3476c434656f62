"""Scoring of bundles with NumPy, onnxruntime and Pillow."""
