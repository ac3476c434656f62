"""Learners of tables: their Params, recipes, and the encoding of raw columns."""
