"""What all adapters of other libraries' backbones share: arguments, layers, weights, sources."""
