"""Every option of conf/decoder over a pyramid, maps of one scale and tokens, for every kind of task."""

import copy
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.heads import HEADS
from geocompose.imagery.samples import OF_CLASSES, PIXEL_WISE
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.registry import DECODER_REGISTRY
from tests.kit.owed import check_copies, check_export, check_gradients, check_state
from tests.kit.small import (
    CLASSES,
    DECODERS,
    LEAST_OUTPUTS,
    STAND_INS,
    content,
    decoder,
    image,
    marked,
    stand_in,
)

SIZE = (64, 96)
OPTIONS = [marked("decoder", name) for name in DECODERS]
# Export takes seconds, and decoders/test_every_decoder.py exports those of smp too: here one of them stands for all.
REPEATED = {name for name in DECODERS if name.startswith("smp_")} - {"smp_unet"} | {"upernet_512"}
EXPORTED = [
    pytest.param(*case.values, id=case.id, marks=[*case.marks, *([pytest.mark.slow] if case.id in REPEATED else [])])
    for case in OPTIONS
]


def built(name: str, features: str, task: str = "segmentation", outputs: int = CLASSES) -> EncoderDecoderModel:
    count = {"num_classes": outputs} if task in OF_CLASSES else {"num_outputs": outputs}
    torch.manual_seed(0)
    return EncoderDecoderFactory(image_size=SIZE).build_model(
        task=task, backbone=stand_in(features), decoder=decoder(name), necks="auto", **count
    )


def given(batch: int = 2) -> Tensor:
    return image(3, batch, *SIZE)


def run(model: nn.Module) -> list[Tensor]:
    return [model(given()).output]


def expected(task: str, outputs: int) -> tuple[int, ...]:
    size = SIZE if task in PIXEL_WISE else ()
    return (2, *size) if outputs == 1 and task not in OF_CLASSES else (2, outputs, *size)


def test_the_options_of_decoders_are_found_and_every_registered_decoder_is_one():
    assert len(DECODERS) >= 44
    built_by = {content("decoder", name).get("arch") or content("decoder", name)["_target_"] for name in DECODERS}
    own = DECODER_REGISTRY.sources["geocompose"]
    # Pooling that brings its head is TerraTorch's other name for decoder=aspp with a head.
    targets = {f"{part.__module__}.{part.__name__}" for name, part in own.items() if "Head" not in name}
    adapters = {"geocompose.decoders.smp.decoder.SmpDecoder", "geocompose.decoders.mmseg.decoder.MmsegDecoder"}
    assert targets | set(DECODER_REGISTRY.sources["smp"]) == built_by - adapters


@pytest.mark.parametrize("name", OPTIONS)
def test_the_output_is_as_wide_as_the_decoder_says_and_fits_maps_and_images(name):
    check_outputs(name, ("segmentation", "classification"), STAND_INS)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_the_output_fits_every_task(name):
    check_outputs(name, HEADS, ["pyramid"])


@pytest.mark.parametrize(
    "name", [marked("decoder", name) for name in ("fcn", "linear", "upernet", "smp_unet", "mmseg_fcn")]
)
def test_the_output_of_a_decoder_of_each_kind_fits_every_task(name):
    check_outputs(name, HEADS, ["pyramid"])


def check_outputs(name: str, tasks: Iterable[str], kinds: Iterable[str]) -> None:
    for features in kinds:
        for task in tasks:
            for outputs in (1, 2) if task == "regression" else (CLASSES,):
                if outputs < LEAST_OUTPUTS.get(name, 1):
                    with pytest.raises(
                        UserError, match=f"it needs {LEAST_OUTPUTS[name]} or more; the task has {outputs}"
                    ):
                        built(name, features, task, outputs)
                    continue
                model = built(name, features, task, outputs)
                seen: list[Tensor] = []
                model.decoder.register_forward_hook(lambda _, __, out, seen=seen: seen.append(out))
                for training in (False, True):
                    with torch.no_grad():
                        output = model.train(training)(given()).output
                    assert output.shape == expected(task, outputs), (features, task)
                    assert output.isfinite().all()
                assert seen[0].shape[2 if seen[0].ndim == 3 else 1] == model.decoder.out_channels
                assert model.decoder.includes_head == type(model.decoder).includes_head
                if model.decoder.includes_head:
                    assert model.decoder.out_channels == outputs
                    assert isinstance(model.head, nn.Identity)


@pytest.mark.parametrize("features", STAND_INS)
@pytest.mark.parametrize("name", OPTIONS)
def test_a_model_with_a_decoder_learns_in_all_its_parameters_and_is_copied_averaged_and_stored(name, features):
    model = built(name, features)
    other = copy.deepcopy(model)
    check_gradients(copy.deepcopy(model), run)
    check_copies(model, run, average=True)
    check_state(model, other, run)


@pytest.mark.parametrize("name", EXPORTED)
def test_a_model_with_a_decoder_is_exported(name):
    check_export(built(name, "pyramid"), (given(),), lambda returned: [returned.output])


def test_the_name_of_a_decoder_says_of_its_head_what_its_class_says():
    for prefix, source in DECODER_REGISTRY.sources.items():
        for name, part in source.items():
            target: Any = getattr(part, "func", part)
            assert DECODER_REGISTRY.includes_head(f"{prefix}_{name}") == target.includes_head, name
