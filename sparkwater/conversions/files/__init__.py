"""Files by Hadoop in the driver's JVM, and by pyarrow or fsspec in Python."""
