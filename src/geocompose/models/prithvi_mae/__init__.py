"""Prithvi's masked autoencoders."""
