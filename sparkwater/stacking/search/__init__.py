"""Searches over Params of any estimator, on the same folds for all trials."""
