"""segmentation_models.pytorch's decoders."""
