"""Decoders: modules that turn a list of features into one map, `out_channels` wide."""
