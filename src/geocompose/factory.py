"""The factory: parts given by name, as modules or as constructors become one model, checked before it has weights.

A composition is wired twice by the same lines: first on the meta device, where it is planned and tried at the data's
image size without memory or weights, then for real. Within `torch.device("meta")` the first is all there is.
"""

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import nn

from geocompose.backbones.temporal.options import split_temporal
from geocompose.errors import UserError, choices, counted, shortened
from geocompose.heads import HEADS
from geocompose.imagery.samples import PIXEL_WISE
from geocompose.models.auxiliary import AuxiliaryHead, auxiliary_heads
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.freezing import never_thaws
from geocompose.models.padding import PADDING_MODES, PaddingMode
from geocompose.parts import resolve, route
from geocompose.peft.methods import peft_method
from geocompose.registry import BACKBONE_REGISTRY, DECODER_REGISTRY
from geocompose.trial import Conditions, Trial, attempt
from geocompose.wiring import Branch, Composition, Outputs, Plan

log = logging.getLogger("geocompose")

OF_VALUES = ("regression", "scalar_regression", "reconstruction")


class EncoderDecoderFactory:
    """Builds models from a backbone, necks, a decoder and a head."""

    def __init__(
        self,
        image_size: tuple[int, int] | None = None,
        *,
        num_frames: int | None = None,
        coordinates: Sequence[str] | None = None,
    ) -> None:
        """Say what compositions will be given.

        image_size: rows and columns at which they are tried; the backbone's own, or 224, where null.
        num_frames: time steps of an image; null: as many as the backbone takes.
        coordinates: any of `time` and `location`, which go to backbones that take them; what only they use doesn't
            learn otherwise. Null: all that the backbone takes.

        Raises:
            UserError: `image_size` is not rows and columns.
        """
        size = None if image_size is None else _image_size(image_size)
        self.conditions = Conditions(size, num_frames, None if coordinates is None else tuple(coordinates))
        self.plan: Plan | None = None  # of the last model built

    def build_model(
        self,
        task: str,
        backbone: str | nn.Module | Callable[..., nn.Module],
        decoder: str | nn.Module | Callable[..., nn.Module],
        backbone_kwargs: Mapping[str, Any] | None = None,
        decoder_kwargs: Mapping[str, Any] | None = None,
        head_kwargs: Mapping[str, Any] | None = None,
        num_classes: int | None = None,
        necks: object = None,
        aux_decoders: object = None,
        rescale: bool = True,
        peft_config: object = None,
        head: str | nn.Module | Callable[..., nn.Module] | None = None,
        num_outputs: int | None = None,
        image_size_out: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> EncoderDecoderModel:
        """Return a `PixelWiseModel` or, for tasks of whole images, a `ScalarOutputModel`.

        Its shapes are checked at the image size before it is given memory or weights.

        task: `segmentation`, `regression` (numbers per pixel), `classification`, `multilabel`, `scalar_regression`
            (numbers per image), `reconstruction` (the image's own bands, per pixel).
        backbone, decoder: a registered name (with or without its source's prefix), a module, or a constructor (a Hydra
            partial) that the factory completes. head: likewise; the task's own where null.
        backbone_kwargs, decoder_kwargs, head_kwargs, and `kwargs` with the prefixes backbone_, decoder_ and head_:
            arguments of the parts. The factory's own among them: backbone_padding (`reflect`, `replicate`, `constant`,
            `circular`, or null for none), backbone_use_temporal with backbone_temporal_*, and
            backbone_merge_modalities (`concat`, `mean`, `max`) for a backbone that returns features by modality.
        num_classes: outputs of classes; of a regression it may only confirm `num_outputs`, its variables (null: 1).
        necks: null (as they are; Prithvi's tokens become maps), `auto` (planned), or a list of mappings with a `name`.
        aux_decoders: null, or a list of `AuxiliaryHead`.
        rescale: whether the output is resized to the image. image_size_out: rows and columns of its centre to keep.
        peft_config: null; a mapping with `method`, `replace_qkv` and `peft_config_kwargs`; or an option of
            `geocompose.peft`.

        Raises:
            UserError: a ValueError: an unknown part, an argument that no part takes, or parts that don't fit together.
        """
        task = task.lower() if isinstance(task, str) else task
        if not isinstance(task, str) or task not in HEADS:
            raise UserError(f"There is no task {task!r}. {choices(str(task), HEADS)}")
        outputs = _outputs(task, num_classes, num_outputs, rescale, image_size_out)
        routed = route(
            kwargs,
            {"backbone": backbone_kwargs, "decoder": decoder_kwargs, "head": head_kwargs},
            own=list(inspect.signature(self.build_model).parameters)[:-1],
        )
        arguments, temporal = split_temporal(routed["backbone"])
        if temporal is not None and self.conditions.num_frames is not None:
            temporal.setdefault("n_timestamps", self.conditions.num_frames)
        padding = _padding(arguments.pop("padding", "reflect"))
        merging = arguments.pop("merge_modalities", None)
        own_head = HEADS[task] if head is None else head
        composition = Composition(
            backbone=resolve("backbone", backbone, BACKBONE_REGISTRY.find, arguments),
            temporal=temporal,
            main=_branch(decoder, own_head, routed["decoder"], routed["head"]),
            auxiliary={aux.name: _auxiliary(aux, HEADS[task]) for aux in auxiliary_heads(aux_decoders)},
            necks=necks,
            peft=peft_method(peft_config),
            outputs=outputs,
            padding=padding,
            merging=merging,
        )
        how_to_try: Callable[[Composition, Conditions], Trial] = attempt
        how_to_assemble: Callable[[Composition, Plan], EncoderDecoderModel] = Composition.assemble
        if composition.main.decoder.reconstructs:
            from geocompose import autoencoding  # loads timm, which other compositions may not need

            autoencoding.check_task(composition.main.decoder, task)
            how_to_try, how_to_assemble = autoencoding.attempt, autoencoding.assemble
        trial = how_to_try(composition, self.conditions)
        self.plan = trial.plan
        on_meta = torch.get_default_device().type == "meta"
        if not on_meta:
            for warning in trial.plan.warnings:
                log.warning(warning)
        model = trial.model if on_meta else how_to_assemble(composition, trial.plan)
        # What no output depends on must not wait for a gradient: distributed training would stop at its second step.
        unreached = [name for name in trial.plan.unreached if model.get_parameter(name).requires_grad]
        for name in unreached:
            model.get_parameter(name).requires_grad_(False)
        inside = "encoder."
        never_thaws(model.encoder, [name[len(inside) :] for name in trial.plan.unreached if name.startswith(inside)])
        if unreached and not on_meta:
            shown = shortened(unreached, 3)
            log.info(
                "Not used by this composition and will not be trained: %s (%s)",
                counted(len(unreached), "tensor"),
                shown,
            )
        return model

    def trial(self, *args: Any, **kwargs: Any) -> Trial:
        """Return what `build_model` plans with these arguments, and its model in shapes alone, without weights.

        Raises:
            UserError: as `build_model`.
        """
        with torch.device("meta"):
            model = self.build_model(*args, **kwargs)
        assert self.plan is not None
        return Trial(self.plan, model)


def _image_size(given: Sequence[int]) -> tuple[int, int]:
    if (
        isinstance(given, str)
        or not isinstance(given, Sequence)
        or len(given) != 2
        or not all(isinstance(pixels, Integral) and pixels > 0 for pixels in given)
    ):
        raise UserError(f"image_size must be rows and columns in pixels, such as (224, 224); got {given!r}.")
    return int(given[0]), int(given[1])


def _outputs(task: str, num_classes: object, num_outputs: object, rescale: object, image_size_out: object) -> Outputs:
    """Return what the model gives, checked.

    Raises:
        UserError: a count that the task does not have, or needs; or a size that is not one.
    """
    name, count, other, given = ("num_classes", num_classes, "num_outputs", num_outputs)
    if task in OF_VALUES:
        name, count, other, given = (
            "num_outputs",
            1 if num_outputs is None else num_outputs,
            "num_classes",
            num_classes,
        )
    if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
        raise UserError(f"{task} needs {name}, a whole number, 1 or more; got {count!r}.")
    # TerraTorch's regressions with mmsegmentation's heads say num_classes=1, which only confirms their one output.
    if given is not None and not (name == "num_outputs" and given == count and not isinstance(given, bool)):
        raise UserError(f"{task} has {name}, not {other}; got {other}={given!r}. Leave it out.")
    if not isinstance(rescale, bool):
        raise UserError(f"rescale must be true or false; got {rescale!r}.")
    per_pixel = task in PIXEL_WISE
    size = None
    if image_size_out is not None:
        if not per_pixel:
            raise UserError(
                f"image_size_out is for tasks with an output per pixel; {task} has one for the image. Leave it out."
            )
        if (
            not isinstance(image_size_out, Sequence)
            or len(image_size_out) != 2
            or not all(type(pixels) is not bool and isinstance(pixels, Integral) for pixels in image_size_out)
            or min(image_size_out) < 1
        ):
            raise UserError(
                f"image_size_out must be rows and columns in pixels, such as [224, 224]; got {image_size_out!r}."
            )
        if not rescale:
            raise UserError(
                "image_size_out keeps the centre of an output that was resized to the image; with rescale=false it is "
                "not. Leave one of them out."
            )
        size = (int(image_size_out[0]), int(image_size_out[1]))
    return Outputs(per_pixel, int(count), task in OF_VALUES and count == 1, rescale, size)


def _padding(given: object) -> PaddingMode | None:
    if given is None or given in PADDING_MODES:
        return given  # type: ignore[return-value]
    raise UserError(f"backbone_padding has no {given!r}. {choices(str(given), [*PADDING_MODES, 'null'])}")


def _branch(decoder: Any, head: Any, decoder_arguments: dict[str, Any], head_arguments: dict[str, Any]) -> Branch:
    part = resolve("decoder", decoder, DECODER_REGISTRY.find, decoder_arguments)
    part.includes_head = (
        DECODER_REGISTRY.includes_head(decoder)
        if isinstance(decoder, str)
        else bool(getattr(part.target, "includes_head", False))
    )
    return Branch(part, resolve("head", head, _find_head, head_arguments))


def _find_head(name: str) -> type[nn.Module]:
    """Return a task's head by the name of the task, or of the head's class.

    Raises:
        UserError: there is none; names the nearest.
    """
    by_name = {**HEADS, **{head.__name__: head for head in HEADS.values()}}
    if name not in by_name:
        raise UserError(f"There is no head {name!r}. {choices(name, by_name)}")
    return by_name[name]


def _auxiliary(aux: AuxiliaryHead, head: type[nn.Module]) -> Branch:
    """Return the parts of an auxiliary output, with its own arguments.

    Raises:
        UserError: an argument without the prefix decoder_ or head_.
    """
    given = {"backbone": None, "decoder": None, "head": None}
    for key in aux.decoder_args or {}:
        if not str(key).startswith(("decoder_", "head_")):
            raise UserError(
                f"The auxiliary decoder {aux.name} has the argument {key!r}; arguments begin with decoder_ or head_, "
                f"such as decoder_{key}."
            )
    routed = route(aux.decoder_args or {}, given, own=[])
    return _branch(aux.decoder, head, routed["decoder"], routed["head"])
