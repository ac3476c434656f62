"""Drawings of plain values: figures of matplotlib with one look, and a text alternative each."""
