"""Necks: what stands between a backbone's features and what a decoder can read."""

from geocompose.necks.base import Neck, NeckSequence

__all__ = ["Neck", "NeckSequence"]
