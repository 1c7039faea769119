"""What is computed once and kept for many runs, such as the features of frozen backbones."""
