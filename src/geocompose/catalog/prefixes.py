"""The prefixes by which a part's name says whose it is: `timm_resnet50`, `smp_Unet`."""

from collections.abc import Iterable

OWN = "geocompose"
# TerraTorch's prefix means our part of that name first, so that its users' names go on working.
OWN_PREFIXES = (OWN, "terratorch")
# Sources in the order in which bare names are searched, after our own; those of other packages come last.
ORDER = ("timm", "smp", "torchgeo", "transformers", "mmseg", "terratorch")


def in_order(sources: Iterable[str]) -> list[str]:
    """Return sources as bare names are searched in them; those that `ORDER` doesn't name last, as they come."""
    return sorted(sources, key=lambda prefix: ORDER.index(prefix) if prefix in ORDER else len(ORDER))


def prefixes_of(name: str, sources: Iterable[str]) -> list[str]:
    """Return the sources that a name's beginning may mean, those with a long prefix first."""
    return sorted((prefix for prefix in sources if name.startswith(f"{prefix}_")), key=len, reverse=True)


def without(prefix: str, name: str) -> str:
    """Return a name without its source's prefix."""
    return name[len(prefix) + 1 :]
