"""What parts say of each other: features, needs, shapes."""
