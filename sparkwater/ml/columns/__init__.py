"""The columns of a fit: features, labels, and how rows take part."""
