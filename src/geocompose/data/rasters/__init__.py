"""Pixels and labels read from rasters."""
