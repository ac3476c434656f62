"""Models that leave Spark: one folder with one ONNX graph, scored by numpy and onnxruntime alone."""
