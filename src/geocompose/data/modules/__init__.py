"""Data of Lightning data modules, TorchGeo's among them: the samples of their data sets as scenes."""
