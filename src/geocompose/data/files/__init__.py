"""Files found, named and paired."""
