"""Training: Lightning's trainer with our callbacks, and what is written while it runs."""
