"""Numbers as a report writes them: scores, costs, and their names."""

import math

UNKNOWN = "\u2013"  # a dash
COST_NAMES = {
    "trainable": "trained parameters",
    "gflops": "GFLOPs",
    "seconds": "seconds per run",
    "memory_mb": "memory",
}


def of_score(value: float) -> str:
    """Return a score with the digits that can matter: three after the point, or three in all, or all before it."""
    if not math.isfinite(value):
        return "not defined"
    if 1000 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.3f}" if value == 0 or 0.01 <= abs(value) < 10 else f"{value:.3g}"


def of_difference(value: float) -> str:
    """Return a difference of scores, with its sign."""
    return of_score(value) if not math.isfinite(value) else f"{'+' if value >= 0 else '-'}{of_score(abs(value))}"


def cost_in_words(name: str, value: float | None) -> str:
    """Return a cost with its unit: `5.6 M`, `12.3`, `2 min 5 s`, `1.2 GB`; a dash where it isn't known."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if name == "seconds":
        return _duration(value)
    if name == "memory_mb":
        return f"{value / 1024:.1f} GiB" if value >= 1024 else f"{value:.0f} MiB"
    if name == "trainable":
        for unit, step in (("M", 1e6), ("k", 1e3)):
            if value >= step:
                return f"{value / step:.3g} {unit}"
        return f"{value:.0f}"
    return f"{value:.3g}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
