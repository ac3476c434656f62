"""A fitted network as a value and as files."""
