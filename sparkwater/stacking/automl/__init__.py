"""AutoML: learners for raw columns, tried, searched and stacked within a budget."""
