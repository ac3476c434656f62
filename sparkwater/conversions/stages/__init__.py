"""What the stages of `conversions` are made of: Params, columns, rows that can't be used, saving."""
