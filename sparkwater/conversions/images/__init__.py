"""Pictures: folders and URIs, picture columns, decoding."""
