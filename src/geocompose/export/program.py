"""What other programs are given: a model from raw values to logits, or to numbers in their physical unit."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from geocompose.data.given_numbers import BandNumbers
from geocompose.data.normalization import beside
from geocompose.errors import UserError, unwrapped
from geocompose.export.source import Source
from geocompose.export.tiles import Tiles
from geocompose.imagery.coordinates import BATCH_KEYS
from geocompose.imagery.missing_frames import masks_frames
from geocompose.imagery.samples import Inputs, Target
from geocompose.inference.plain_model import AS_IT_IS, method_of, plain_model
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.runs.environment import versions
from geocompose.tasks.counting import predicted


class Program(nn.Module):
    """A model with its normalisation inside, without auxiliary outputs.

    model: on the CPU, in evaluation mode. mean, std: one per band, or for each band one
    per frame, in the unit that it reads.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        model: EncoderDecoderModel,
        target: Target,
        mean: BandNumbers,
        std: BandNumbers,
        num_frames: int = 1,
    ) -> None:
        super().__init__()
        self.model = model
        self.target = target
        ndim = 3 if num_frames == 1 else 4  # of an image: bands, [frames,] rows, columns
        centre, spread = (beside(np.asarray(numbers, np.float32), ndim)[None] for numbers in (mean, std))
        # As in `geocompose.data.normalization`: a multiplication, in float32.
        self.register_buffer("mean", torch.from_numpy(centre))
        self.register_buffer("scale", 1 / torch.from_numpy(spread))

    @property
    def in_words(self) -> str:
        """What it consists of."""
        return f"{type(self.model.encoder).__name__} with {type(self.model.decoder).__name__}"

    def forward(
        self, image: Tensor, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> Tensor:
        """Return logits (B, classes, H, W) or (B, classes), or numbers (B, variables, H, W) or (B, variables).

        image: raw values, float32 (B, bands, [frames,] H, W). A pixel that is NaN in any band (and frame) has no data:
        it is the mean of each band, as in training. temporal_coords, location_coords: see `EncoderDecoderModel`.
        """
        missing = image.isnan().flatten(1, -3).any(dim=1)
        missing = missing.view(-1, *[1] * (image.ndim - 3), *image.shape[-2:])
        normalized = torch.where(missing, 0.0, (image - self.mean) * self.scale)
        output = self.model(normalized, temporal_coords, location_coords).output
        return output if self.target.of_classes else predicted(output, self.target)


def program_of(source: Source) -> tuple[Program, str]:
    """Return a run's model as a program, and a line on its adapters; the run's own model is left as it is.

    Adapters are merged where their method can; else they are layers of the program.

    Raises:
        UserError: the model passes over frames without data, which no program of fixed operations can.
    """
    if masks_frames(source.run.config):
        raise UserError(
            "This run passes over frames without data (data.missing_frames=mask): how much it computes depends on the "
            "images, which a program of fixed operations can't. Use action.format=bundle."
        )
    trained = source.trained.model
    try:
        method = method_of(source.run)
        model = plain_model(trained, method)
        adapted = hasattr(trained.encoder, "peft_config") or hasattr(method, "merge")
        line = "adapters: merged into their layers" if adapted else "adapters: none"
    except UserError as error:
        model = copy.deepcopy(trained)
        reason = unwrapped(error).removesuffix(AS_IT_IS).rstrip(". ")
        line = f"adapters: layers of the program ({reason})"
    model.aux_heads = nn.ModuleDict()
    numbers = source.run.record.data["normalization"]
    frames = Inputs.from_record(source.run.record.data).num_frames
    program = Program(model, source.trained.target, numbers["mean"], numbers["std"], frames)
    return program.eval().requires_grad_(False), line


def inputs_of(tiles: Tiles) -> dict[str, Tensor]:
    """Return what a program is called with, by name."""
    return {"image": tiles.raw, **tiles.coordinates}


def reference_of(source: Source, tiles: Tiles) -> Tensor:
    """Return what the run's own model says of the same samples, read and normalised as in training."""
    target = source.trained.target
    with torch.inference_mode():
        output = source.trained.model(tiles.normalized, **tiles.coordinates).output
    return output if target.of_classes else predicted(output, target)


def output_name(target: Target) -> str:
    """Return how a program calls its output."""
    return "logits" if target.of_classes else "values"


def description_of(source: Source) -> dict[str, Any]:
    """Return what a program's file says of itself, as JSON knows it; see docs/export.md."""
    recorded, target = source.run.record.data, source.trained.target
    inputs = Inputs.from_record(recorded)
    frames = [inputs.num_frames] if inputs.num_frames > 1 else []
    size = [inputs.tile_px, inputs.tile_px]
    shapes: Mapping[str, list[object]] = {
        "image": ["batch", len(inputs.bands), *frames, *size],
        **{
            BATCH_KEYS[name]: ["batch", *([inputs.num_frames] if name == "time" else []), 2]
            for name in inputs.coordinates
        },
    }
    return {
        "run_id": source.run.record.run_id,
        "task": target.kind,
        "bands": list(inputs.bands),
        "unit": recorded.get("read_as") or [None] * len(inputs.bands),
        "level": recorded.get("level"),
        "classes" if target.of_classes else "variables": list(target.names),
        "normalization": {
            "mean": recorded["normalization"]["mean"],
            "std": recorded["normalization"]["std"],
            "where": "inside: give raw values in `unit`; a pixel that is NaN in any band has no data",
        },
        "inputs": shapes,
        "output": {
            "name": output_name(target),
            "shape": ["batch", target.num_outputs, *(size if target.pixel_wise else [])],
        },
        "weights_sha256": source.run.weights_sha256,
        "versions": {name: versions()[name] for name in ("geocompose", "torch")},
    }
