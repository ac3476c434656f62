"""Networks over the rows of a DataFrame, and the columns that they add."""
