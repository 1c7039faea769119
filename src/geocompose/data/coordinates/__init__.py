"""When and where samples were taken."""
