"""Cells with the same cause told together: how many, why, and which."""

from collections.abc import Iterator, Sequence

from geocompose.errors import counted

_SHOWN = 5


def grouped(what: str, cells: Sequence[tuple[str, str]], *, most: int = _SHOWN) -> Iterator[str]:
    """Yield lines for cells, given as reason and title: each reason with those of its cells, `most` of them by name."""
    by_reason: dict[str, list[str]] = {}
    for reason, title in cells:
        by_reason.setdefault(reason, []).append(title)
    for reason, titles in by_reason.items():
        yield f"{what} ({counted(len(titles), 'cell')}): {reason}"
        more = f"; ... ({len(titles)} in all)" if len(titles) > most else ""
        yield f"  {'; '.join(titles[:most])}{more}"
