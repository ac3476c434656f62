"""Files on any filesystem: through Hadoop in the driver's JVM, and through pyarrow or fsspec in Python."""
