"""Where TerraTorch's data modules find what, as keys of our group data."""
