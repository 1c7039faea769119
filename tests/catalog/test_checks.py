"""Names of other libraries' parts are held against tables before torch is loaded."""

import pytest
import yaml

from geocompose.catalog.checks import SOURCES, check_source_names
from geocompose.catalog.optional import PACKAGES
from geocompose.errors import UserError
from tests.kit.places import CONF


@pytest.mark.parametrize("target", SOURCES)
def test_every_source_is_that_of_an_option(target):
    options = (*CONF.glob("backbone/*.yaml"), *CONF.glob("decoder/*.yaml"))
    assert target in {yaml.safe_load(file.read_text()).get("_target_") for file in options}
    assert SOURCES[target].package in (None, *PACKAGES)


TORCHGEO = {"_target_": "geocompose.backbones.torchgeo.builder.build_torchgeo", "name": "resnet18"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"backbone": {**TORCHGEO, "name": "resnet19"}}, "resnet19: torchgeo has no such model"),
        ({"backbone": TORCHGEO}, "pip install -r requirements-torchgeo.txt"),
        ({"backbone": {"parts": {"s1": TORCHGEO}}}, "pip install -r requirements-torchgeo.txt"),
    ],
    ids=["name", "not installed", "inside fusion"],
)
def test_a_wrong_name_is_told_before_a_missing_package(monkeypatch, config, message):
    monkeypatch.setitem(PACKAGES, "torchgeo", ("no_such_package",))
    with pytest.raises(UserError, match=message) as told:
        check_source_names(config)
    assert told.value.part == "backbone"
