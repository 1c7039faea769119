"""CSV files that a spreadsheet opens as what they are: no text becomes a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what one begins with (OWASP, CSV injection)


def csv_of(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as a CSV.

    A text that a spreadsheet would compute, such as `=1+1` in a name of somebody else's, has an apostrophe before it;
    numbers, also those that are texts, are as they are.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_inert(value) for value in row] for row in rows)
    return text.getvalue()


def _inert(value: object) -> object:
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
