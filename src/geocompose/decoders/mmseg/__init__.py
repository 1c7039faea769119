"""mmsegmentation's decode heads as decoders."""
