"""TerraTorch's `model_args` as options of our groups of parts."""
