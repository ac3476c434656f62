"""Files, columns and rows as plain values. Free of NiceGUI."""
