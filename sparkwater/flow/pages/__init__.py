"""Pages in the browser, made of NiceGUI's elements."""
