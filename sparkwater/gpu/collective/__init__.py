"""The ranks of a training as a group: meeting, connecting, sums over all of them."""
