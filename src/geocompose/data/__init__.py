"""Labelled scenes: found, split into regions, cut into tiles, and loaded in batches."""
