"""Params of the learners, by concern, and how they are declared and checked."""
