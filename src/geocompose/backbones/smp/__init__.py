"""smp's encoders as backbones."""
