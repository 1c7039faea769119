"""The ways in which a time series is asked for: arguments of the factory, and the options of the group `temporal`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from geocompose.errors import UserError, choices

_PREFIX = "temporal_"
_NAMES = ("pooling", "n_timestamps", "subset_lengths", "features_permute_op", "num_heads", "key_channels", "concat")


@dataclass(frozen=True)
class NoTemporal:
    """Images are given to the backbone as they are."""

    @property
    def backbone_arguments(self) -> dict[str, Any]:
        """What the factory is given of it: nothing."""
        return {}


@dataclass(frozen=True)
class TemporalPooling:
    """Each time step goes through the backbone by itself, then features are pooled over time (`TemporalBackbone`).

    subset_lengths: lengths of consecutive groups of time steps, each of which is averaged first; together all of them.
    The number of time steps is the data's.
    """

    pooling: Literal["mean", "max", "diff", "concat"]
    subset_lengths: list[int] | None = None

    @property
    def backbone_arguments(self) -> dict[str, Any]:
        """What the factory is given of it, beside the backbone's own arguments."""
        given = {"pooling": self.pooling, "subset_lengths": self.subset_lengths}
        return {"use_temporal": True, **{f"{_PREFIX}{name}": value for name, value in given.items()}}


@dataclass(frozen=True)
class TemporalAttentionPooling:
    """Each time step goes through the backbone by itself, then features are pooled by learned attention over time.

    subset_lengths: see `TemporalPooling`. num_heads, key_channels: see `TemporalAttention`.
    """

    subset_lengths: list[int] | None = None
    num_heads: int | None = None
    key_channels: int = 8

    @property
    def backbone_arguments(self) -> dict[str, Any]:
        """What the factory is given of it, beside the backbone's own arguments."""
        given = {
            "pooling": "attention", "subset_lengths": self.subset_lengths, "num_heads": self.num_heads,
            "key_channels": self.key_channels,
        }  # fmt: skip
        return {"use_temporal": True, **{f"{_PREFIX}{name}": value for name, value in given.items()}}


def split_temporal(backbone_kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the arguments of the image backbone, and those of `TemporalBackbone` or None without `use_temporal`.

    backbone_kwargs: arguments without the prefix `backbone_`; `use_temporal` and `temporal_*` are taken out of them.

    Raises:
        UserError: an unknown `temporal_` name, `temporal_` arguments without use_temporal=true, or `temporal_concat`.
    """
    inner = {key: value for key, value in backbone_kwargs.items() if not _is_temporal(key)}
    temporal = {
        key.removeprefix(_PREFIX): value
        for key, value in backbone_kwargs.items()
        if key.startswith(_PREFIX) and value is not None
    }
    for name in temporal:
        if name not in _NAMES:
            allowed = [f"backbone_{_PREFIX}{known}" for known in _NAMES[:-1]]
            raise UserError(
                f"There is no argument backbone_{_PREFIX}{name}. {choices(f'backbone_{_PREFIX}{name}', allowed)}"
            )
    use = backbone_kwargs.get("use_temporal")
    if use not in (None, False, True):
        raise UserError(f"backbone_use_temporal must be true or false; got {use!r}.")
    if temporal.pop("concat", False):
        raise UserError("backbone_temporal_concat is out of use; write backbone_temporal_pooling='concat'.")
    if not use:
        for name in temporal:
            raise UserError(
                f"backbone_{_PREFIX}{name} counts only with backbone_use_temporal=true; write that, or leave it out."
            )
        return inner, None
    return inner, temporal


def _is_temporal(key: str) -> bool:
    return key == "use_temporal" or key.startswith(_PREFIX)
