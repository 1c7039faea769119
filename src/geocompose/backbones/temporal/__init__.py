"""Time series through backbones of one image."""
