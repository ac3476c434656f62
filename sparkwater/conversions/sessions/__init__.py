"""The session's own resources: slots, files, threads; all that a Spark session is asked for besides DataFrames."""
