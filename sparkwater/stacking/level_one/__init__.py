"""Level-one data: the fits that make it, its checkpoints, its metrics."""
