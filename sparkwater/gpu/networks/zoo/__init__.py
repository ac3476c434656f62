"""The registered networks, and their building blocks."""
