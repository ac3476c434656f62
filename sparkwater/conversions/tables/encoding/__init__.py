"""Fitted encodings of columns, applied to Arrow arrays; free of pyspark."""
