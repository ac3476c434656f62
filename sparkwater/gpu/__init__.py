"""Training on one rank: networks, rows, collectives, training loop. Never imports pyspark."""
