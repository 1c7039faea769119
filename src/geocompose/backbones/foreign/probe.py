"""What a backbone of another library is like, learnt by one forward on the meta device: shapes and the graph only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from geocompose.contracts.backbone import contract_of
from geocompose.contracts.features import FeatureSpec, common_multiple
from geocompose.contracts.meta import unused
from geocompose.contracts.shapes import observe
from geocompose.errors import FOREIGN_ERRORS, UserError, first_line
from geocompose.imagery.pretraining import Pretraining


@dataclass(frozen=True)
class Probe:
    """What a forward shows.

    module: on the meta device. specs: its features. idle_parameters: names of those that the features don't depend on.
    fixed_size: images of another size are refused.
    """

    module: nn.Module
    specs: list[FeatureSpec]
    idle_parameters: list[str]
    fixed_size: bool

    def declare(
        self,
        module: nn.Module,
        *,
        channels: int,
        bands: list[str] | None,
        size: tuple[int, int],
        weights: dict[str, str] | None,
        pretraining: Pretraining | None,
    ) -> nn.Module:
        """Return the module that was built like the probed one, with what other parts need to know of it.

        Parameters that no feature depends on don't wait for a gradient, which would stop distributed training at its
        second step.
        """
        for name in self.idle_parameters:
            module.get_parameter(name).requires_grad_(False)
        declare(
            module,
            specs=self.specs,
            fixed_size=self.fixed_size,
            channels=channels,
            bands=bands,
            size=size,
            weights=weights,
            pretraining=pretraining,
        )
        return module


def declare(
    module: nn.Module,
    *,
    specs: list[FeatureSpec],
    fixed_size: bool,
    channels: int,
    bands: list[str] | None,
    size: tuple[int, int],
    weights: dict[str, str] | None,
    pretraining: Pretraining | None,
) -> None:
    """Give another library's module the attributes that other parts need to know of a backbone."""
    attributes = {
        "out_channels": [spec.channels for spec in specs],
        "feature_specs": specs,
        "in_chans": channels,
        "bands": bands,
        "img_size": size,
        "fixed_size": fixed_size,
        "weights": weights,
        "pretraining": pretraining,
    }
    for name, value in attributes.items():
        setattr(module, name, value)


class _NumbersOnCpu(TorchFunctionMode):
    """Lets constructors read the numbers of a `torch.linspace`, such as rates of stochastic depth, on the meta device."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        more = dict(kwargs or {})
        if function is torch.linspace:
            more["device"] = "cpu"
        return function(*args, **more)


@contextmanager
def on_meta() -> Iterator[None]:
    """Build without memory, and without taking from the random numbers of the model that is built after it."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _NumbersOnCpu():
        yield


def probe(build: Callable[[], nn.Module], channels: int, size: tuple[int, int], *, part: str) -> Probe:
    """Return what the backbone that `build` makes does with an image of this size.

    What the backbone says of its widths (`declared_channels`) is held against what it returns; where it says nothing,
    maps are channels first.

    size: rows and columns, whole numbers of cells. part: for messages.

    Raises:
        UserError: what it returns are no features.
        FOREIGN_ERRORS: it can't take images of this size, in its own words.
    """
    # The graph tells idle parameters, also where the caller has switched gradients off.
    with on_meta(), torch.inference_mode(False), torch.enable_grad():
        module = build().to("meta").eval()  # some make a tensor or two elsewhere, whatever the device
        features = module(torch.empty(1, channels, *size))
        declared = getattr(module, "declared_channels", None)
        if declared is None or len(declared) != len(features):
            declared = [feature.shape[1 if feature.ndim == 4 else -1] for feature in features]
        widths = [int(width) for width in declared]
        specs = observe(features, widths, size, part=part, patch=contract_of(module).patch_size)
        idle = unused(features, dict(module.named_parameters()))
        step = common_multiple(specs)
        fixed = not follows(module, torch.empty(1, channels, size[0] + step, size[1] + 2 * step), features)
    return Probe(module.train(), specs, idle, fixed)


def whole_patches(size: tuple[int, int], step: int) -> tuple[int, int]:
    """Return the size, enlarged to a multiple of `step` in both directions."""
    return size[0] + -size[0] % step, size[1] + -size[1] % step


def follows(module: nn.Module, larger: Tensor, features: list[Tensor]) -> bool:
    """Return whether a larger image gives larger maps: some models refuse it, others resize it to their own size."""
    try:
        with torch.no_grad():
            grown = module(larger)
    except FOREIGN_ERRORS:
        # That the module refuses the image is the answer, not a failure.
        return False
    return all(after.numel() > before.numel() for after, before in zip(grown, features, strict=True))


def reason(error: BaseException) -> str:
    """Return a foreign error's first line as a sentence."""
    return f"{first_line(error)}."


def refuse_size(name: str, size: tuple[int, int], channels: int, error: BaseException, advice: str) -> UserError:
    """Return what to tell somebody whose images a model can't take."""
    return UserError(
        f"backbone.name={name} can't take images of {size[0]}x{size[1]} pixels with {channels} channels: "
        f"{reason(error)} {advice}"
    )
