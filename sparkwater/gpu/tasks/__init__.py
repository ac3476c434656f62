"""What a network learns: losses, metrics and weights of its targets."""
