"""Building blocks of the conversion stages: Params, columns, treatment of invalid rows, loading."""
