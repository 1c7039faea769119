"""Backbones: modules that return a list of features and say how wide each is in `out_channels`."""
