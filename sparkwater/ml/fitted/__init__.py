"""A fitted network as a value, as files, and the consent to load it."""
