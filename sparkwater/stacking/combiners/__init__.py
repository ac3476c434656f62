"""Combiners: learners' predictions weighted and put together, fitted by sums over blocks of level one."""
