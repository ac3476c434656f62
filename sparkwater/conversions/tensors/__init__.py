"""Tensors without Spark: specifications, casting, Arrow buffers and record batches."""
