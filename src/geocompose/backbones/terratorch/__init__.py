"""TerraTorch's backbones, where it is installed."""
