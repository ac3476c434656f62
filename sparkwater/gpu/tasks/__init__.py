"""Learning tasks: losses, metrics and class weights."""
