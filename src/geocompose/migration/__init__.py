"""Bringing work from other toolkits along: what becomes of each setting and each weight, with nothing lost in silence."""
