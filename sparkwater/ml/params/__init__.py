"""Params of the learners, by concern; their declaration and checks."""
