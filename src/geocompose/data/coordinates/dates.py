"""Acquisition dates: found in a file's name or in a raster's tags, or read from a cell of a table."""

import re
from collections.abc import Mapping
from datetime import date, timedelta

from geocompose.errors import UserError

_YEAR = r"((?:19|20)\d{2})"
# In a file's name. Seven digits are a date only where products write it that way; elsewhere they are just a number.
_FORMS = (
    re.compile(rf"(?<!\d){_YEAR}(\d{{2}})(\d{{2}})(?!\d)"),
    re.compile(rf"(?<!\d){_YEAR}-(\d{{2}})-(\d{{2}})(?!\d)"),
    re.compile(rf"\.A?{_YEAR}(\d{{3}})(?=[T.])"),
)
# Products whose names hold further dates (of processing, of the end) after the acquisition's.
_PRODUCTS = (
    re.compile(rf"S2[A-D]_MSIL(?:1C|2A)_{_YEAR}(\d{{2}})(\d{{2}})T\d{{6}}"),
    re.compile(rf"S1[A-D]_\w{{2}}_\w{{4}}_\w{{4}}_{_YEAR}(\d{{2}})(\d{{2}})T\d{{6}}"),
    re.compile(rf"L[COTEM]\d{{2}}_L\w{{3}}_\d{{6}}_{_YEAR}(\d{{2}})(\d{{2}})_\d{{8}}"),
)
# As a whole text, with or without a time of day.
_WHOLE = (
    re.compile(r"(\d{4})([-:/]?)(\d{2})\2(\d{2})(?:[T ].*)?"),
    re.compile(r"(\d{4})-?(\d{3})(?:T.*)?"),
)
_PARTS = {"%Y": r"(?P<Y>\d{4})", "%m": r"(?P<m>\d{2})", "%d": r"(?P<d>\d{2})", "%j": r"(?P<j>\d{3})"}

# Where products and GDAL's drivers write the acquisition, first choice first. TIFFTAG_DATETIME comes last: many
# programs write there when they made the file.
TAGS = (
    *("ACQUISITIONDATETIME", "ACQUISITION_DATETIME", "ACQUISITION_DATE", "DATE_ACQUIRED"),
    *("SENSING_TIME", "SENSING_DATE", "DATATAKE_1_DATATAKE_SENSING_START", "PRODUCT_START_TIME", "DATETIME"),
    "TIFFTAG_DATETIME",
)


def year_and_day(when: date) -> tuple[int, int]:
    """Return the year and the day of the year, from 0."""
    return when.year, (when - date(when.year, 1, 1)).days


def date_in_name(name: str, pattern: str | None, *, advice: str) -> date:
    """Return the date in a file's name.

    name: the file's path; only its last part is read, or as many parts as `pattern` has.
    pattern: a text with `%Y` and `%m` and `%d`, or `%Y` and `%j` (the day of the year, from 001), and `*` for any text,
        such as `*_%d%m%Y_*`. None means YYYYMMDD, YYYY-MM-DD, `.YYYYDDD` followed by `T` or `.`, and the names of
        Sentinel-1, Sentinel-2 and Landsat products, whose first date is the acquisition's.
    advice: what to do where there is no single date, for errors.

    Raises:
        UserError: there is no date, there are two, or it does not exist.
    """
    if pattern is not None:
        return _by_pattern(name, pattern, advice)
    last = name.rsplit("/", 1)[-1]
    for product in _PRODUCTS:
        matched = product.search(last)
        if matched:
            return _checked(matched.groups(), matched.group(), last)
    found = [matched for form in _FORMS for matched in form.finditer(last)]
    dates = {when for matched in found if (when := _date(matched.groups())) is not None}
    if len(dates) > 1:
        shown = " and ".join(sorted(map(str, dates)))
        raise UserError(f"{last} has several dates in its name: {shown}. {advice}")
    if dates:
        return dates.pop()
    if found:
        return _checked(found[0].groups(), found[0].group().strip("."), last)
    raise UserError(
        f"{last} has no date in its name: neither YYYYMMDD nor YYYY-MM-DD nor, as in HLS, .YYYYDDD followed by T or "
        f"'.'. {advice}"
    )


def check_pattern(pattern: str, key: str) -> None:
    """Refuse a pattern that does not say a date.

    Raises:
        UserError: names the key, and what a pattern has.
    """
    parts = sorted(re.findall(r"%.", pattern))
    if parts not in (["%Y", "%d", "%m"], ["%Y", "%j"]):
        raise UserError(
            f"{key}={pattern} must have %Y, %m and %d once each, or %Y and %j (the day of the year); * stands for any "
            "text, as in '*_%d%m%Y_*'."
        )


def _by_pattern(name: str, pattern: str, advice: str) -> date:
    folders = pattern.count("/")
    last = "/".join(name.split("/")[-folders - 1 :])
    pieces = re.findall(r"%.|\*+|\?|.", pattern)
    wildcards = {"?": "."}
    expression = "".join(
        _PARTS.get(piece) or (".*?" if piece.startswith("*") else wildcards.get(piece, re.escape(piece)))
        for piece in pieces
    )
    matched = re.fullmatch(expression, last)
    if not matched:
        raise UserError(f"The name {last} does not match data.date_pattern={pattern}. {advice}")
    parts = matched.groupdict()
    numbers = (parts["Y"], parts["j"]) if "j" in parts else (parts["Y"], parts["m"], parts["d"])
    return _checked(numbers, "-".join(numbers), last)


def date_in_tags(tags: Mapping[str, str], where: str, *, advice: str) -> date:
    """Return the date of the first of `TAGS` that is there.

    Raises:
        UserError: none of them is there (says which were looked for), or it is not a date.
    """
    upper = {name.upper(): value for name, value in tags.items()}
    for name in TAGS:
        if upper.get(name, "").strip():
            # Products of several acquisitions list them.
            texts = [text.strip() for text in re.split(r"[;,]", upper[name]) if text.strip()]
            dates = {parse_date(text, f"{where}: the tag {name}") for text in texts}
            if len(dates) > 1:
                raise UserError(f"{where}: the tag {name} has several dates, {upper[name]!r}. {advice}")
            return dates.pop()
    raise UserError(f"{where} has no tag with a date; looked for {', '.join(TAGS)}. {advice}")


def parse_date(text: str, where: str) -> date:
    """Return the date that a text is: 2022-01-15, 20220115, 2022:01:15, 2022015, 2022-015, with or without a time.

    Raises:
        UserError: it is not a date; `where` begins the message.
    """
    for form in _WHOLE:
        matched = form.fullmatch(text)
        if matched:
            return _checked([part for part in matched.groups() if part.isdigit()], text, where)
    raise UserError(f"{where} is {text!r}, which is not a date; write it as 2022-01-15.")


def _checked(parts: "tuple[str, ...] | list[str]", text: str, where: str) -> date:
    when = _date(parts)
    if when is not None:
        return when
    numbers = [int(part) for part in parts]
    if numbers[0] < 1:
        reason = "years begin at 1"
    elif len(numbers) == 2:
        reason = f"the year {numbers[0]} has no day {numbers[1]}"
    elif not 1 <= numbers[1] <= 12:
        reason = f"there is no month {numbers[1]}"
    else:
        reason = f"month {numbers[1]} of {numbers[0]} has no day {numbers[2]}"
    raise UserError(f"{where}: {text} is not a date: {reason}.")


def _date(parts: "tuple[str, ...] | list[str]") -> date | None:
    """Return the date of year, month and day, or of year and day of the year from 1; None if it does not exist."""
    numbers = [int(part) for part in parts]
    try:
        if len(numbers) == 3:
            return date(*numbers)
        when = date(numbers[0], 1, 1) + timedelta(days=numbers[1] - 1)
    except ValueError:
        return None
    return when if when.year == numbers[0] else None
