"""transformers' AutoBackbone models as backbones."""
