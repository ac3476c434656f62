"""Reports of a fit: history, metrics, resolved choices, experiment trackers."""
