"""Building blocks of stages: Params, columns, treatment of invalid rows, saving."""
