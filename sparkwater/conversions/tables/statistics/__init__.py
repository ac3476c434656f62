"""Statistics of columns in bounded memory, merged in any order to the same result; free of pyspark."""
