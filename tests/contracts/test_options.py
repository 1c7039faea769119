"""Every option under conf/ fits its target and composes with the others, before anyone writes a test for it."""

import importlib
import inspect
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from geocompose.configuration.checking import HYDRA_KEYS, check
from geocompose.configuration.diagnosis import groups
from geocompose.configuration.signatures import arguments
from geocompose.errors import UserError
from tests.kit.places import CONF

# At least so many options a group; a lower count means that the search for them is broken, or that an option got lost.
LEAST = {
    "action": 13, "auxiliary": 2, "backbone": 49, "cache": 3, "data": 15, "decoder": 45, "head": 7, "hydra/help": 1,
    "launcher": 5, "logger": 5,
    "neck": 3,
    "optimizer": 5, "peft": 19, "protocol": 4, "scheduler": 8, "search": 5, "task": 6, "temporal": 6, "trainer": 1,
}  # fmt: skip
NOT_OPTIONS = {"config", "identity"}
WITHOUT_TARGET = {"hydra/help/geocompose", "backbone/own", "decoder/own", "head/own", "logger/own"}
NOT_COMPOSED = {"hydra/help/geocompose"}  # of Hydra's own node

# What fills the `???` of an option.
REQUIRED = {
    "action/diff": ["action.runs=[outputs/a,outputs/b]"],
    "action/evaluate": ["action.run=outputs/a"],
    "action/export": ["action.run=outputs/a"],
    "action/predict": ["action.run=outputs/a", "action.input=a.tif", "action.output=b.tif"],
    "action/reproduce": ["action.run=outputs/a"],
    "backbone/own": ["backbone._target_=geocompose.backbones.identity.IdentityBackbone"],
    "backbone/smp": ["backbone.name=mit_b0"],
    "backbone/terratorch": ["backbone.name=terramind_v1_tiny"],
    "backbone/timm": ["backbone.name=test_resnet"],
    "backbone/torchgeo": ["backbone.name=resnet18"],
    "backbone/transformers": ["backbone.name=dinov2"],
    "data/geotiff": ["data.root=.", "data.images=*_i.tif", "data.labels=*_l.tif", "data.class_names=[land,water]"],
    "data/geotiff_classification": ["data.root=."],
    "data/geotiff_multilabel": ["data.root=.", "data.table=t.csv"],
    "data/geotiff_reconstruction": ["data.root=.", "data.images=*_i.tif"],
    "data/geotiff_regression": ["data.root=.", "data.images=*_i.tif", "data.labels=*_l.tif", "data.variables=[ndvi]"],
    "data/geotiff_scalar_regression": ["data.root=.", "data.table=t.csv", "data.variables=[share]"],
    "data/hls_burn_scars": ["data.root=."],
    "data/module": [
        "data.root=.",
        "data.module={_target_: lightning.pytorch.demos.boring_classes.BoringDataModule}",
    ],
    "data/sen1floods11": ["data.root=."],
    "decoder/mmseg": ["decoder.name=FCNHead"],
    "decoder/own": ["decoder._target_=geocompose.decoders.fcn.FCNDecoder"],
    "head/own": ["head._target_=geocompose.heads.segmentation.SegmentationHead"],
    "logger/own": ["logger._target_=lightning.pytorch.loggers.CSVLogger", "+logger.save_dir=."],
    "neck/list": ["neck.necks=[{name: SelectIndices, indices: [-1]}]"],
    "peft/other": ["peft.method=LOKR"],
    "search/random": ["search.trials=8"],
    "search/tpe": ["search.trials=8"],
}
# What fills the `???` that experiments leave to whoever runs them.
ASKED_BY_EXPERIMENTS = {"data.root": ".", "backbone.name": "test_resnet"}

# Arguments with a default that no YAML offers, each for its reason.
NOT_OFFERED = {
    # What TerraTorch's users write; it may only confirm what is so anyway.
    "geocompose.backbones.prithvi.builder.build_prithvi": {"in_chans", "encoder_only", "vit_adapter"},
    "geocompose.decoders.aspp.ASPPDecoder": {"in_channels"},
    # The factory knows them from the neighbours.
    "geocompose.decoders.linear.LinearDecoder": {"strides"},
    "geocompose.decoders.mmseg.decoder.MmsegDecoder": {"strides"},
    "geocompose.decoders.smp.decoder.SmpDecoder": {"strides"},
    # They are the backbone's, and so is what it is not given by a name here.
    "geocompose.models.prithvi_mae.decoder.MAEDecoder": {"coords_encoding", "coords_scale_learn"},
    # The session hands them over.
    "geocompose.training.trainer.build_trainer": {"ours"},
    # A module has its own splits: what is typed all the same (+data.fold=1) is refused in words.
    "geocompose.data.modules.source.ModuleData": {"fold", "folds"},
    # How torch computes, or what belongs to another method; none changes the experiment that the option is.
    "torch.optim.adam.Adam": {
        "amsgrad",
        "maximize",
        "foreach",
        "capturable",
        "differentiable",
        "decoupled_weight_decay",
    },
    "torch.optim.adamw.AdamW": {"amsgrad", "maximize", "foreach", "capturable", "differentiable"},
    "torch.optim.radam.RAdam": {"maximize", "foreach", "capturable", "differentiable"},
    "torch.optim.rmsprop.RMSprop": {"maximize", "foreach", "capturable", "differentiable"},
    "torch.optim.sgd.SGD": {"maximize", "foreach", "differentiable"},
    "torch.optim.lr_scheduler.CosineAnnealingLR": {"last_epoch"},
    "torch.optim.lr_scheduler.ConstantLR": {"last_epoch"},
    "torch.optim.lr_scheduler.PolynomialLR": {"last_epoch"},
    "torch.optim.lr_scheduler.StepLR": {"last_epoch"},
    # The mode is that of the task's selection metric.
    "torch.optim.lr_scheduler.ReduceLROnPlateau": {"mode", "threshold_mode", "eps"},
}


def found() -> list[str]:
    """Return every option as `group/option`."""
    names = (path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.rglob("*.yaml"))
    imported = "experiment/imported/"  # made by action=import_terratorch, by whoever uses this checkout
    return sorted(name for name in names if name not in NOT_OPTIONS and not name.startswith(imported))


OPTIONS = found()
EXPERIMENTS = [name for name in OPTIONS if name.startswith("experiment/")]
PROTOCOLS = [name for name in OPTIONS if name.startswith("protocol/")]
GLOBAL = (*EXPERIMENTS, *PROTOCOLS)  # they set keys of other groups, and have none of their own
WITH_TARGET = [name for name in OPTIONS if name not in WITHOUT_TARGET and name not in GLOBAL]


def raw(option: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / f"{option}.yaml").read_text())


def group_of(option: str) -> str:
    return option.rpartition("/")[0]


@cache
def composed(option: str) -> DictConfig:
    """Return the composed configuration with this option; nobody changes it."""
    group, _, name = option.rpartition("/")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=[f"{group}={name}", *REQUIRED.get(option, [])])


def target_of(option: str) -> tuple[str, Callable[..., Any]]:
    content = raw(option)
    while "_target_" not in content:
        content = raw(f"{group_of(option)}/{content['defaults'][0]}")
    module, _, name = content["_target_"].rpartition(".")
    return content["_target_"], getattr(importlib.import_module(module), name)


def test_every_group_has_at_least_the_options_it_had():
    counts = {group: sum(group_of(option) == group for option in OPTIONS) for group in LEAST}
    assert {group: counts[group] for group in LEAST if counts[group] < LEAST[group]} == {}
    assert {group_of(option) for option in OPTIONS if option not in EXPERIMENTS} <= set(LEAST), (
        "add the new group to LEAST"
    )


@pytest.mark.parametrize("option", [*OPTIONS, *sorted(NOT_OPTIONS)])
def test_a_file_begins_with_a_comment_that_says_what_it_is(option):
    first = (CONF / f"{option}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ")
    assert len(first.split()) > 2


@pytest.mark.parametrize("option", [name for name in OPTIONS if name not in (*GLOBAL, *NOT_COMPOSED)])
def test_an_option_fits_its_target_and_composes_with_the_others(option):
    """One test for each option, so that it is composed once."""
    checked = check(composed(option), groups(CONF))
    assert checked["study"] == "default"
    assert isinstance(checked[group_of(option)], dict)
    if option in WITH_TARGET:
        every_key_is_an_argument_of_the_target(option)
        every_argument_with_a_default_is_offered(option)
        an_option_that_lacks_a_required_argument_is_partial(option)
        the_signature_read_from_source_is_the_real_one(option)
        the_values_of_an_option_are_of_the_type_that_they_stay(option)


def every_key_is_an_argument_of_the_target(option: str) -> None:
    _, target = target_of(option)
    signature = inspect.signature(target)
    assert all(parameter.kind is not parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    keys = set(composed(option)[group_of(option)]) - set(HYDRA_KEYS)
    assert keys - set(signature.parameters) == set()


def every_argument_with_a_default_is_offered(option: str) -> None:
    name, target = target_of(option)
    parameters = inspect.signature(target).parameters.values()
    optional = {parameter.name for parameter in parameters if parameter.default is not parameter.empty}
    excepted = NOT_OFFERED.get(name, set())
    assert excepted <= optional, "NOT_OFFERED names what the target does not have"
    keys = set(composed(option)[group_of(option)])
    assert optional - excepted - keys == set()
    assert excepted & keys == set(), "NOT_OFFERED names what the option offers"


def an_option_that_lacks_a_required_argument_is_partial(option: str) -> None:
    _, target = target_of(option)
    node = composed(option)[group_of(option)]
    parameters = inspect.signature(target).parameters.values()
    required = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
    lacking = required - set(node)
    if group_of(option) == "action":  # called by the command line, which hands it the experiment
        assert lacking == {"experiment"}
    else:
        assert not lacking or node.get("_partial_") is True, f"nobody can give {lacking}"


def the_signature_read_from_source_is_the_real_one(option: str) -> None:
    name, target = target_of(option)
    read = arguments(name)
    real = inspect.signature(target).parameters
    assert read is not None
    assert list(read) == list(real)
    assert {key for key, argument in read.items() if argument.required} == {
        key for key, parameter in real.items() if parameter.default is parameter.empty
    }


def the_values_of_an_option_are_of_the_type_that_they_stay(option: str) -> None:
    """What is written is what the target gets: nothing is turned into another type by the check but 1 into 1.0."""
    node = composed(option)
    written = OmegaConf.to_container(node[group_of(option)], resolve=False)
    assert isinstance(written, dict)
    constant = {key: value for key, value in written.items() if not (isinstance(value, str) and "${" in value)}
    checked = check(node, groups(CONF))[group_of(option)]
    if option.startswith("optimizer/") and constant["lr"] is None:  # the rate of a table, see test_learning_rates.py
        assert isinstance(checked["lr"], float)
        del constant["lr"]
    assert {key: checked[key] for key in constant} == constant


@pytest.mark.parametrize("option", EXPERIMENTS)
def test_an_experiment_composes_and_keeps_the_rules_of_conf(option):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[f"experiment={option.removeprefix('experiment/')}"])
    for key in OmegaConf.missing_keys(config):
        OmegaConf.update(config, key, ASKED_BY_EXPERIMENTS[key])
    assert check(config, groups(CONF))["study"] != "default"
    sets_keys_of_other_groups(option)


def sets_keys_of_other_groups(option: str) -> None:
    first, second = (CONF / f"{option}.yaml").read_text().splitlines()[:2]
    assert first == "# @package _global_"
    assert second.startswith("# ")


@pytest.mark.parametrize("option", PROTOCOLS)
def test_a_protocol_composes_and_what_is_typed_wins(option):
    name = option.removeprefix("protocol/")
    typed = ["decoder=identity", "optimizer=sgd", "optimizer.lr=0.5", "scheduler=one_cycle", "peft=bitfit"]
    typed += ["trainer.max_epochs=7", "data.batch_size=3"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plain, other = (compose("config", overrides=[f"protocol={name}", *more]) for more in ([], typed))
    check(plain, groups(CONF))
    checked = check(other, groups(CONF))
    assert checked["optimizer"]["lr"] == 0.5
    assert (checked["trainer"]["max_epochs"], checked["data"]["batch_size"]) == (7, 3)
    assert checked["decoder"]["_target_"].endswith("IdentityDecoder")
    assert "protocol" not in checked, "its values identify a run, and not its name"
    sets_keys_of_other_groups(option)
    if name != "none":
        assert re.search(r"arXiv \d{4}\.\d{5}", (CONF / f"{option}.yaml").read_text().splitlines()[1])
        assert "# Not carried over" in (CONF / f"{option}.yaml").read_text()


@pytest.mark.parametrize("option", sorted(REQUIRED))
def test_a_required_value_that_is_missing_is_named(option):
    group, _, name = option.rpartition("/")
    key = REQUIRED[option][0].partition("=")[0]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[f"{group}={name}"])
    with pytest.raises(UserError, match=f"{key}.* required: write .*{key}=VALUE"):
        check(config, groups(CONF))
