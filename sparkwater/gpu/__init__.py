"""One rank of training: networks, plan, loop, collectives. Never imports pyspark."""
