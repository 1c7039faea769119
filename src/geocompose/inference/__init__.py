"""Trained models over rasters of any size: windows with overlap, read, predicted and written a batch at a time."""
