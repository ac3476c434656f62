"""Similarity of rows: distances, and nearest neighbours."""
