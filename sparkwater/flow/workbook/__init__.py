"""A sequence of actions as values: their Python, and the files that keep them. Free of NiceGUI and Spark."""
