"""Explanations of fitted models: importance by permutation, partial dependence, Shapley values."""
