"""Prithvi's encoders."""
