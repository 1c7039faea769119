"""What tests share: composing and running, rasters, small modules, recorded and made runs."""
