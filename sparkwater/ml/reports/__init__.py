"""What a fit says of itself: history, metrics, choices, experiment trackers."""
