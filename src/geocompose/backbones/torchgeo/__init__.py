"""torchgeo's models as backbones."""
