"""Numbers of things in words."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return how many there are of what: `1 image`, `2,000 images`. many: its plural, with an s where null."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
