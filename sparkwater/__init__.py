"""Spark ML stages for neural networks: tensors, distributed training, stacking.

Importing this package is light: neither torch, horovod, pyspark nor Pillow is loaded before a
stage needs it.
"""

__version__ = "0.1.0"
