"""Tensors without Spark: specs, casts, Arrow buffers and record batches."""
