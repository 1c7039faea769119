"""At one seed, runs that differ in their PEFT method start alike: parts, backbone, batches and augmentation."""

from collections.abc import Mapping
from typing import NamedTuple

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups, options
from geocompose.runs import RunFolder
from geocompose.training.session import prepare
from tests.kit.command import SMALL
from tests.kit.places import CONF

VIT = ("backbone=prithvi", "backbone.embed_dim=16", "backbone.depth=2", "backbone.num_heads=2", "backbone.img_size=32")
# What fills the `???` of an option, or makes it quick.
FILLED = {"other": ["peft.method=LOKR", "peft.r=2"], "vera": ["peft.r=4"]}


class Start(NamedTuple):
    """What a run begins with."""

    batches: list[Mapping[str, Tensor]]
    parts: Mapping[str, Tensor]  # all weights but the backbone's
    backbone: Mapping[str, Tensor]


def start(tmp_path, *overrides, batches=1) -> Start:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", overrides=[*VIT, *SMALL[2:], *overrides]), groups(CONF))
    session = prepare(config, None, None, RunFolder(tmp_path / "run"))
    drawn = [batch for _, batch in zip(range(batches), session.data.train_dataloader(), strict=False)]
    state = session.built.model.state_dict()
    backbone = {name: value for name, value in state.items() if name.startswith("encoder.")}
    parts = {name: value for name, value in state.items() if name not in backbone}
    return Start(drawn, parts, {name.removeprefix("encoder."): value for name, value in backbone.items()})


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return start(tmp_path_factory.mktemp("plain"), "seed=3", batches=2)


def equal(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


def base_of(adapted: Mapping[str, Tensor], name: str) -> Tensor:
    """Return a backbone's tensor as an adapted one holds it: within PEFT's model, or split into three."""
    held = {key.removeprefix("base_model.model.").replace(".base_layer.", "."): value for key, value in adapted.items()}
    if name in held:
        return held[name]
    layer, _, kind = name.rpartition(".")
    return torch.cat([held[f"{layer}.{part}.{kind}"] for part in ("q_linear", "k_linear", "v_linear")])


@pytest.mark.parametrize("peft", [name for name in options(CONF, "peft") if name != "none"])
def test_peft_options_differ_in_nothing_but_what_they_add(peft, plain, tmp_path):
    own = start(tmp_path, "seed=3", f"peft={peft}", *FILLED.get(peft, ()))
    assert plain.parts
    assert equal(own.parts, plain.parts)
    assert equal(own.batches[0], plain.batches[0])
    assert plain.backbone
    for name, value in plain.backbone.items():
        assert torch.equal(base_of(own.backbone, name), value), name


def test_every_batch_of_an_epoch_is_the_same(plain, tmp_path):
    own = start(tmp_path, "seed=3", "peft=lora", batches=2)
    assert len(own.batches) == len(plain.batches) == 2
    assert all(equal(one, other) for one, other in zip(own.batches, plain.batches, strict=True))


def test_another_seed_is_another_run(plain, tmp_path):
    other = start(tmp_path, "seed=4", batches=2)
    assert not all(equal(one, own) for one, own in zip(other.batches, plain.batches, strict=True))
    assert not equal(other.parts, plain.parts)
    assert not equal(other.backbone, plain.backbone)
