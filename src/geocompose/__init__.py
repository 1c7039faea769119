"""Compose, fine-tune and compare models for Earth observation."""

__version__ = "0.1.0"
