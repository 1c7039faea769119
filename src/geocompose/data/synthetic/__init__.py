"""Made-up landscapes."""
