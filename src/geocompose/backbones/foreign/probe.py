"""What a backbone of another library is like, learnt by one forward on the meta device: shapes and the graph only."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from geocompose.backbones.layer_numbers import LayerNumbers
from geocompose.contracts.backbone import contract_of
from geocompose.contracts.features import FeatureSpec, common_multiple
from geocompose.contracts.meta import unused
from geocompose.contracts.one_piece import in_one_piece
from geocompose.contracts.shapes import observe
from geocompose.errors import FOREIGN_ERRORS, UserError
from geocompose.imagery.pretraining import Pretraining

Forward = Callable[[nn.Module, Tensor], list[Tensor]]
MOST_OF_A_REASON = 300  # characters


@dataclass(frozen=True)
class Seen:
    """What a backbone returns for one image.

    specs: its features. step: an image that is larger by this many pixels has whole cells again.
    """

    specs: list[FeatureSpec]
    step: int


@dataclass(frozen=True)
class Probe:
    """What a forward shows of every module that is built alike.

    idle_parameters: names of those that the features don't depend on. fixed_size: images of another size are refused.
    """

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
        random_inputs: Iterable[str] = (),
        layers: LayerNumbers | None = None,
    ) -> nn.Module:
        """Return a module that was built like the probed one, with the attributes that other parts read of a backbone.

        layers: which of its layers it returns, in its library's numbers.

        Parameters that no feature depends on don't wait for a gradient, which would stop distributed training at its
        second step.
        """
        for name in self.idle_parameters:
            module.get_parameter(name).requires_grad_(False)
        attributes = {
            "out_channels": [spec.channels for spec in self.specs],
            "feature_specs": list(self.specs),
            "in_chans": channels,
            "bands": bands,
            "img_size": size,
            "fixed_size": self.fixed_size,
            "weights": weights,
            "pretraining": pretraining,
            "random_inputs": sorted(random_inputs),
        }
        if layers is not None:
            attributes["out_indices"] = layers
        for name, value in attributes.items():
            setattr(module, name, value)
        return module


class _NumbersOnCpu(TorchFunctionMode):
    """Lets constructors on the meta device read the numbers of a `torch.linspace`, such as drop path rates."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        more = dict(kwargs or {})
        if function is torch.linspace:
            more["device"] = "cpu"
        return function(*args, **more)


@contextmanager
def on_meta() -> Iterator[None]:
    """Build without memory, and without taking from the random numbers of the model that is built after it.

    The graph tells which parameters are idle, so it is kept even where the caller has switched gradients off.
    """
    with (
        torch.random.fork_rng(devices=[]),
        torch.device("meta"),
        _NumbersOnCpu(),
        in_one_piece(),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        yield


def shell(build: Callable[[], nn.Module]) -> nn.Module:
    """Return what `build` makes, in shapes alone."""
    with on_meta():
        return build().to("meta")  # some make a tensor or two elsewhere, whatever the device


def forward(module: nn.Module, image: Tensor) -> list[Tensor]:
    """Return the features of one image, as the module itself returns them."""
    return module(image)


def probe(
    module: nn.Module,
    channels: int,
    size: tuple[int, int],
    describe: Callable[[nn.Module, list[Tensor]], Seen],
    run: Forward = forward,
) -> Probe:
    """Return what a `shell` does with an image of this size; it is left as it was built.

    size: rows and columns, whole numbers of cells. describe: says what the features are. run: makes the forward.

    Raises:
        UserError: what it returns are not features.
        FOREIGN_ERRORS: it can't take images of this size, in its own words.
    """
    with on_meta():
        features = run(module.eval(), torch.empty(1, channels, *size))
        seen = describe(module, features)
        idle = unused(features, dict(module.named_parameters()))
        # One step more in rows and two in columns: a model that only counts its patches doesn't mistake it for its own.
        fixed = not _follows(module, torch.empty(1, channels, size[0] + seen.step, size[1] + 2 * seen.step), features)
    # Some models keep attention biases from a forward; training mode lets go of them.
    module.train()
    return Probe(seen.specs, idle, fixed)


def observed(part: str, size: tuple[int, int]) -> Callable[[nn.Module, list[Tensor]], Seen]:
    """Return a description of features by their shapes alone, for modules that don't declare what they return.

    What a module says of its widths (`declared_channels`) is held against what it returns; where it says nothing, maps
    are channels first.

    part: for messages. size: rows and columns of the image.
    """

    def describe(module: nn.Module, features: list[Tensor]) -> Seen:
        declared = getattr(module, "declared_channels", None)
        if declared is None or len(declared) != len(features):
            declared = [feature.shape[1 if feature.ndim == 4 else -1] for feature in features]
        widths = [int(width) for width in declared]
        specs = observe(features, widths, size, part=part, patch=contract_of(module).patch_size)
        return Seen(specs, common_multiple(specs))

    return describe


def whole_patches(size: tuple[int, int], step: int) -> tuple[int, int]:
    """Return the size, enlarged to a multiple of `step` in both directions."""
    return size[0] + -size[0] % step, size[1] + -size[1] % step


def _follows(module: nn.Module, larger: Tensor, features: list[Tensor]) -> bool:
    """Return whether a larger image gives larger maps: some models refuse it, others resize it to their own size."""
    try:
        with torch.no_grad():
            grown = module(larger)
    except FOREIGN_ERRORS:
        # That the module refuses the image is the answer, not a failure.
        return False
    return all(after.numel() > before.numel() for after, before in zip(grown, features, strict=True))


def reason(error: BaseException) -> str:
    """Return a foreign error's text as one sentence of readable length, or its type where it says nothing."""
    # More than the first line: of tensors that don't fit, torch names none before the second.
    text = " ".join(str(error).split())[:MOST_OF_A_REASON]
    return f"{text.rstrip('. ') or type(error).__name__}."


def refuse_size(name: str, size: tuple[int, int], channels: int, error: BaseException, advice: str) -> UserError:
    """Return what to tell a user whose images a model can't take."""
    return UserError(
        f"backbone.name={name} can't take images of {size[0]}x{size[1]} pixels with {channels} channels: "
        f"{reason(error)} {advice}"
    )
