"""ONNX graphs from plain data: the builder, and the operators of trees, linear models and features; free of pyspark."""
