"""Scores without a network."""
