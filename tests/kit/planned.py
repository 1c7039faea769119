"""Plans of necks, made and followed."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch

from geocompose.arguments import as_written
from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.needs import Needs, needs_of
from geocompose.necks import NeckSequence
from geocompose.planning import AutoNecks, plan
from geocompose.planning.trace import traced
from geocompose.registry import NECK_REGISTRY
from tests.kit.small import content, decoder

PYRAMIDS = ("learned", "interpolated", "pooled")


def needs(name: str) -> Needs:
    keys = {key: value for key, value in content("decoder", name).items() if key not in ("_target_", "_partial_")}
    return needs_of(decoder(name).func, keys)  # type: ignore[attr-defined]


def maps(strides: Sequence[int | Fraction], widths: Sequence[int] | None = None) -> list[FeatureSpec]:
    return [FeatureSpec(width, stride) for width, stride in zip(widths or [30] * len(strides), strides, strict=True)]


def after(necks: list[dict[str, Any]], specs: list[FeatureSpec]) -> list[FeatureSpec]:
    """Return the features after planned necks, built and tried."""
    widths, built = [spec.channels for spec in specs], []
    with torch.device("meta"):
        for neck in necks:
            arguments = {key: value for key, value in neck.items() if key != "name"}
            built.append(NECK_REGISTRY.build(neck["name"], widths, **arguments))
            widths = built[-1].process_channel_list(widths)
        return traced(NeckSequence(built), [neck["name"] for neck in necks], specs, written=False)


def planned(name: str, specs: list[FeatureSpec], pyramid: Any = "learned") -> list[dict[str, Any]]:
    return plan(AutoNecks(pyramid), specs, needs(name), maps_by_default=False)


# What is planned


def written(name: str, specs: list[FeatureSpec], pyramid: Any = "learned") -> str:
    return as_written(planned(name, specs, pyramid))[1:-1]


CLASSED = FeatureSpec(32, 16, "tokens", num_prefix_tokens=1)
