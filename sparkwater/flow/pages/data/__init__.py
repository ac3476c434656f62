"""The page of data: files, forms that read them, and DataFrames at a glance."""
