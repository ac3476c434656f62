"""Pictures: where they lie, their columns, and their decoding."""
