"""Models of networks, tables and tensors in graphs."""
