"""What a study shows, from its files alone: one page, tables, and what can and can't be said. Free of torch."""
