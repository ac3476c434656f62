"""Petastorm datasets: schemas, codecs, reading, writing, streaming."""
