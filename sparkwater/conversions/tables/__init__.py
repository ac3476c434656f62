"""Columns of tables as they are - numbers, strings, dates, vectors, nulls - to one tensor a row."""
