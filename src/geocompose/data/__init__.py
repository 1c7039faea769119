"""Labelled scenes: found, split into regions, cut into tiles, handed on in batches."""
