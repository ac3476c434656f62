"""Inspection of a network's layers: tracing, description, drawing, cuts for deep features."""
