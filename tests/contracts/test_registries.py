"""Every registered name is found under its prefixes, and refuses what it can't be built with in words of ours."""

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, Union, get_args, get_origin

import pytest
import torch
from torch import nn

from geocompose.decoders.smp.architectures import ARCHITECTURES
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.heads import HEADS
from geocompose.imagery.samples import OF_CLASSES
from geocompose.parts import Part
from geocompose.registry import (
    BACKBONE_REGISTRY,
    DECODER_REGISTRY,
    FULL_MODEL_REGISTRY,
    NECK_REGISTRY,
    MultiSourceRegistry,
    Registry,
)
from tests.kit.small import DECODERS, content, marks, stand_in

SOURCED = {"backbone": BACKBONE_REGISTRY, "decoder": DECODER_REGISTRY, "model": FULL_MODEL_REGISTRY}
OWN = [(kind, name) for kind, registry in SOURCED.items() for name in registry.sources["geocompose"]]
WIDTHS = [16, 16, 32, 32]
# What a part needs beside the widths of its features.
ALSO: Mapping[str, Mapping[str, Any]] = {
    "IdentityBackbone": {"in_chans": 3},
    "fusion": {
        "parts": {
            "s2": {"name": "timm_test_vit", "bands": ["RED"]},
            "s1": {"name": "timm_test_resnet", "bands": ["VV"]},
        }
    },
    "PermuteDims": {"new_order": [0, 3, 1, 2]},
    "ProjectChannels": {"channels": 8},
    "SelectIndices": {"indices": [0]},
    "LinearDecoder": {"num_classes": 3, "upsampling_size": 4},
    "ASPPSegmentationHead": {"num_classes": 3},
    "ASPPRegressionHead": {"num_classes": 3},
}
SMALL = {"embed_dim": 48, "depth": 1, "num_heads": 4, "img_size": 64}
# What the factory fills in; and weights, which would be asked of the network.
NOT_TRIED = {"strides", "pretrained"}


def builders() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every part by its name, as a function of its own arguments alone."""
    for name in BACKBONE_REGISTRY.sources["geocompose"]:
        few = SMALL if name.startswith("prithvi") else {}
        yield name, partial(BACKBONE_REGISTRY.find(name), **few, **ALSO.get(name, {}))
    yield "timm_test_vit", BACKBONE_REGISTRY.find("timm_test_vit")
    for name in FULL_MODEL_REGISTRY:
        yield name, partial(FULL_MODEL_REGISTRY.find(name), **SMALL, decoder_embed_dim=32, decoder_depth=1)
    for name, neck in NECK_REGISTRY.items():
        yield name, partial(neck, WIDTHS, **ALSO.get(name, {}))
    for name, decoder in DECODER_REGISTRY.sources["geocompose"].items():
        yield name, partial(decoder, WIDTHS, **ALSO.get(name, {}))
    for name, head in HEADS.items():
        yield f"head {name}", partial(head, 16, 3)


BUILDERS = dict(builders())
# What neither builds nor is refused in our words, for a reason. What is mended has to leave this table.
KNOWN: Mapping[str, list[str]] = {
    # Nobody's machine holds it, and torch says so.
    "UNet": [
        "num_stages=99: RuntimeError: Storage size calculation overflowed with sizes=[536870912, 536870912, 3, 3]"
    ],
}


def kinds(annotation: Any) -> set[Any]:
    """Return what an annotation allows: int, float, str, bool, list, dict, ..."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return set().union(*(kinds(part) for part in get_args(annotation)))
    if origin is Literal:
        return {type(value) for value in get_args(annotation)}
    return {origin or annotation}


def impossible(annotation: Any) -> list[Any]:
    """Return values of the right type that few arguments can be."""
    allowed = kinds(annotation)
    values: list[Any] = []
    if int in allowed:
        values += [-99, 0, 99]
    if float in allowed:
        values += [-0.5, 7.5]
    if str in allowed:
        values += ["no such thing", ""]
    if list in allowed:
        lists = [part for part in _parts(annotation) if get_origin(part) is list]
        of_words = any(str in kinds(get_args(part)[0]) for part in lists)
        values += [[], ["no such thing"] if of_words else [-99], ["", "", ""] if of_words else [0] * 7]
    return values


def of_another_type(annotation: Any) -> list[Any]:
    """Return values of another type than the annotation's."""
    allowed = kinds(annotation)
    values: list[Any] = [{"no such": "thing"}] if dict not in allowed else [[7]]
    values += [2.5] if float not in allowed else []
    values += ["7"] if str not in allowed else []
    return values


def _parts(annotation: Any) -> list[Any]:
    return list(get_args(annotation)) if get_origin(annotation) in (Union, types.UnionType) else [annotation]


def troubles(name: str, values: Callable[[Any], list[Any]], build: Callable[..., Any] | None = None) -> list[str]:
    """Return the values of arguments that neither build nor are refused in our words; `build` by itself where None."""
    builder, found = BUILDERS[name], []
    for argument, parameter in inspect.signature(builder).parameters.items():
        given = getattr(builder, "keywords", {})
        if argument in NOT_TRIED or (argument in given and argument not in SMALL):
            continue
        for value in values(parameter.annotation):
            try:
                with torch.device("meta"):
                    (build or builder)(**{argument: value})
            except UserError:
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, it is listed
                found.append(f"{argument}={value!r}: {type(error).__name__}: {error}")
    return found


@pytest.mark.parametrize("name", BUILDERS)
def test_a_value_that_cannot_be_is_refused_in_our_words(name):
    assert troubles(name, impossible) == KNOWN.get(name, [])


@pytest.mark.parametrize("name", [name for name in BUILDERS if name not in FULL_MODEL_REGISTRY])
def test_a_value_of_another_type_is_refused_in_our_words_by_the_factory(name):
    part = partial(Part, "backbone", name, constructor=BUILDERS[name])
    assert troubles(name, of_another_type, lambda **given: part(arguments=given).build()) == []


@pytest.mark.parametrize("kind", SOURCED)
def test_a_name_is_found_with_and_without_the_prefix_of_its_source_and_under_terratorchs(kind):
    registry = SOURCED[kind]
    assert [name for own, name in OWN if own == kind]
    for name in registry.sources["geocompose"]:
        assert name in registry
        assert registry.find(name) is registry.find(f"geocompose_{name}") is registry.find(f"terratorch_{name}")
        with pytest.raises(UserError, match=rf"There is no {kind} '{name}x'. Did you mean '\w*{name[:5]}"):
            registry.find(f"{name}x")


def test_a_name_that_is_taken_is_refused():
    registry = Registry("part")
    registry.register(stand_in)
    with pytest.raises(ValueError, match=r"A part named 'stand_in' is registered already \(tests.kit.small\)"):
        registry.register(stand_in)
    with pytest.raises(ValueError, match="A part named 'stand_in' is registered already"):
        registry.register_as("stand_in", dict)
    with pytest.raises(ValueError, match="There is a source 'timm' of backbones already"):
        BACKBONE_REGISTRY.register_source("timm", {})
    with pytest.raises(ValueError, match="There is a source 'geocompose' of decoders already"):
        DECODER_REGISTRY.register_source("geocompose", {})


def test_a_bare_name_means_our_own_part_first_and_a_prefix_the_source():
    registry = MultiSourceRegistry("part", "geocompose.necks")
    registry.register_as("one", lambda: "ours")
    registry.register_source("theirs", {"one": lambda: "theirs", "two": lambda: "theirs"})
    registry.register_source("others", {"two": lambda: "others"})
    assert [registry.build(name) for name in ("one", "two", "theirs_one", "others_two")] == [
        "ours",
        *["theirs"] * 2,
        "others",
    ]
    assert [registry.build(f"{prefix}_one") for prefix in ("geocompose", "terratorch")] == ["ours", "ours"]


def test_a_key_error_inside_a_constructor_is_no_missing_name():
    def broken() -> None:
        raise KeyError("from inside")

    registry = MultiSourceRegistry("part", "geocompose.necks")
    registry.register(broken)
    with pytest.raises(KeyError, match="from inside"):
        registry.build("broken")


def test_every_smp_decoder_is_a_name_and_an_option():
    names = {f"smp_{arch}" for arch in ARCHITECTURES}
    assert names <= set(DECODER_REGISTRY)
    assert len(names) == 12
    assert {f"smp_{content('decoder', name)['arch']}" for name in DECODERS if name.startswith("smp_")} == names


def build(**changes: Any) -> nn.Module:
    with torch.device("meta"):
        return EncoderDecoderFactory((64, 64)).build_model(
            **{
                "task": "segmentation",
                "backbone": stand_in("pyramid"),
                "decoder": "FCNDecoder",
                "num_classes": 3,
                **changes,
            }
        )


@pytest.mark.parametrize("name", [*BACKBONE_REGISTRY.sources["geocompose"], "timm_test_vit"])
def test_an_argument_that_a_backbone_does_not_have_is_named(name):
    with pytest.raises(UserError, match=r"no argument backbone_no_such|backbone.kwargs.no_such"):
        build(backbone=name, backbone_no_such=1)


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name), id=name) for name in DECODER_REGISTRY])
def test_an_argument_that_a_decoder_does_not_have_is_named(name):
    with pytest.raises(UserError, match=r"no argument (decoder_no_such|'no_such')"):
        build(decoder=name, decoder_no_such=1, necks="auto")


@pytest.mark.parametrize("name", list(NECK_REGISTRY))
def test_an_argument_that_a_neck_does_not_have_is_named(name):
    with pytest.raises(UserError, match=r"no argument 'no_such"):
        build(necks=[{"name": name, "no_such": 1, **ALSO.get(name, {})}])


@pytest.mark.parametrize("task", HEADS)
def test_an_argument_that_a_head_does_not_have_is_named(task):
    count = {} if task in OF_CLASSES else {"num_outputs": 1}
    with pytest.raises(UserError, match=r"no argument head_no_such"):
        build(**{"task": task, "head_no_such": 1, "num_classes": None if count else 3, **count})


class Own:
    """A part of a user's own."""


WRONG_CALLS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "a name": (lambda registry: registry.register("text"), r"register\('text'\) is not how a"),
    "a name as a decorator's": (lambda registry: registry.register("text")(Own), r"register\('text'\) is not how a"),
    "nothing": (lambda registry: registry.register()(Own), r"register\(\) is not how a"),
    "null": (lambda registry: registry.register(None), r"is not how a"),
    "a name by its name": (lambda registry: registry.register(name="text"), r"register\(name='text'\) is not how a"),
    "a part and a name": (lambda registry: registry.register(Own, "text"), r"'text'\) is not how a"),
    "a partial": (lambda registry: registry.register(partial(Own)), r"register\(functools.partial.*is not how a"),
    "an object": (lambda registry: registry.register(Own()), r"is not how a"),
    "a builder alone": (lambda registry: registry.register_as(Own, None), r"register_as\(.*is not how a"),
    "the two in the other order": (lambda registry: registry.register_as(Own, "text"), r"register_as\(.*is not how a"),
    "no name": (lambda registry: registry.register_as("", Own), r"register_as\('', .*is not how a"),
}
REGISTRIES = {
    "BACKBONE": BACKBONE_REGISTRY, "NECK": NECK_REGISTRY, "DECODER": DECODER_REGISTRY,
    "FULL_MODEL": FULL_MODEL_REGISTRY,
}  # fmt: skip


@pytest.mark.parametrize("call", WRONG_CALLS)
@pytest.mark.parametrize("name", REGISTRIES)
def test_a_wrong_registration_is_told_how_it_is_done(name, call):
    wrong, message = WRONG_CALLS[call]
    before = list(REGISTRIES[name])
    with pytest.raises(UserError, match=rf"{message}.*@{name}_REGISTRY.register, without parentheses") as refused:
        wrong(REGISTRIES[name])
    assert isinstance(refused.value, TypeError)
    assert list(REGISTRIES[name]) == before


@pytest.mark.parametrize("make", [lambda: Registry("neck"), lambda: MultiSourceRegistry("decoder", "geocompose.heads")])
def test_a_class_and_a_builder_are_registered(make):
    registry = make()
    assert registry.register(Own) is Own
    registry.register_as("mine", partial(Own))
    assert isinstance(registry.build("Own"), Own)
    assert isinstance(registry.build("mine"), Own)
