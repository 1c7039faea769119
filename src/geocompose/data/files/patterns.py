"""Glob patterns of file names, and the text that their wildcards stand for: what pairs files of one image."""

import re
from pathlib import PurePosixPath

BAND = (
    "{band}"  # stands in a pattern for the name of the band that a file holds: see `geocompose.data.files.band_files`
)
PARTS = re.compile(r"\*+|\?|\[!?[^\]]+\]|\{band\}|.")


_GDAL = re.compile(r'[A-Za-z]\w+:"?(?P<file>[^:"]+)"?:(?P<inner>[^:]+)')


def plain(pattern: str) -> str:
    """Return a pattern without the driver that GDAL writes before a raster inside a file, as in `netcdf:*.nc:ndvi`."""
    found = _GDAL.fullmatch(pattern)
    return f"{found['file']}:{found['inner'].strip('/')}" if found else pattern


def key_of(pattern: str, relative: str) -> str:
    """Return the text that the `*`s of a pattern stand for in a path that it matches.

    Those of the file name count; where it has none, those of the folders. Several texts are joined by `_`.
    """
    *folders, name = plain(pattern).split("/")
    path = PurePosixPath(relative)
    in_name = "*" in name
    expression = as_regex(name) if in_name else "/".join(map(as_regex, folders))
    matched = re.fullmatch(expression, path.name if in_name else path.parent.as_posix())
    return "_".join(matched.groups()) if matched and matched.groups() else ""


def whole_key_of(pattern: str, relative: str) -> str:
    """Return the text that all `*`s of a pattern stand for in a path that it matches, those of its folders first."""
    return "/".join(part for part in (_folders_of(pattern, relative), key_of(pattern, relative)) if part)


def _folders_of(pattern: str, relative: str) -> str:
    *folders, name = plain(pattern).split("/")
    if "*" not in name or not any("*" in folder for folder in folders):
        return ""
    # `**` is any number of folders, none included.
    expression = "".join(r"(?:(.*)/)?" if folder == "**" else f"{as_regex(folder)}/" for folder in folders)
    matched = re.fullmatch(expression, f"{PurePosixPath(relative).parent.as_posix()}/".removeprefix("./"))
    return "/".join(text for text in matched.groups() if text) if matched else ""


def as_regex(pattern: str) -> str:
    """Return the regular expression of one level of a glob pattern, with a group for each `*`; braces for `{band}`."""
    # A set such as [0-9] or [!a] means the same in both languages but for the sign that negates it.
    special = {"*": "(.*)", "**": "(.*)", "?": ".", BAND: r"\{[^{}]*\}"}
    return "".join(
        special.get(part) or (part.replace("[!", "[^", 1) if len(part) > 1 else re.escape(part))
        for part in PARTS.findall(pattern)
    )
