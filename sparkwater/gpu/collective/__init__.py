"""Collective communication of the ranks: rendezvous, start checks, connections, sums."""
