"""Bringing work from other toolkits along: what becomes of each setting and weight, with nothing lost silently."""
