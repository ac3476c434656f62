"""Plain values for pages, from DataFrames, Params and summaries. Free of NiceGUI."""
