"""Time series of which a frame has no data: whether a composition can pass over it."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from geocompose.errors import UserError, choices

MissingFrames = Literal["leave_out", "mask", "refuse"]

_CAN = "temporal=mean, max and attention can"
_REASONS = {
    "diff": "temporal=diff subtracts one frame from the other and needs both",
    "concat": "temporal=concat has a place for each frame, which the decoder reads",
    None: "without a temporal pooling (temporal=none) the backbone reads all frames at once, such as Prithvi, whose "
    "tokens join them",
}


def check_rule(rule: str) -> None:
    """Refuse an unknown rule.

    Raises:
        UserError: names those that there are.
    """
    if rule not in get_args(MissingFrames):
        raise UserError(f"data.missing_frames has no {rule!r}. {choices(rule, get_args(MissingFrames))}")


def masks_frames(config: Mapping[str, Any]) -> bool:
    """Return whether a configuration has frames without data masked.

    Raises:
        UserError: its composition can't do so: says why, and which can.
    """
    data = config.get("data") or {}
    if data.get("missing_frames") != "mask":
        return False
    if data.get("num_frames", 1) < 2:
        raise UserError("data.missing_frames=mask is for several frames (data.num_frames); here there is 1.")
    temporal = config.get("temporal") or {}
    name = str(temporal.get("_target_", "")).rpartition(".")[2]
    pooling = "attention" if name == "TemporalAttentionPooling" else temporal.get("pooling")
    if pooling in _REASONS:
        raise UserError(
            f"data.missing_frames=mask can't pass over a frame here: {_REASONS[pooling]}. {_CAN}; or set "
            "data.missing_frames=leave_out, with which a series that lacks a frame does not count."
        )
    return True
