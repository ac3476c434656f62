"""A network's layers: traced, described, drawn, and cut for deep features."""
