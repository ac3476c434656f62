"""Fitted networks: values, files, and the consent to load them."""
