"""Tasks: how a model learns and is scored, as Lightning modules."""
