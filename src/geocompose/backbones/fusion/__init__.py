"""Backbones side by side, joined level by level."""
