"""Networks of other frameworks as torch modules: models of Keras, graphs of ONNX."""
