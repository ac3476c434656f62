"""Level-one data of a stack: preparation of rows, fits, checkpoints, metrics."""
