"""Models for other programs: bundles and exchange formats."""
