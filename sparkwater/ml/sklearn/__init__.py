"""Estimators of scikit-learn and its kin: rows for one task, fits, files, scoring."""
