"""At one seed, runs that differ in their PEFT method see the same batches with the same augmentation."""

import pytest
import torch
from hydra import compose, initialize_config_dir

from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.runs import RunFolder
from geocompose.training.session import prepare
from tests.kit.command import SMALL
from tests.kit.places import CONF


def first_epoch(tmp_path, *overrides):
    """The batches of a run's first epoch, and its model's weights beside the backbone's."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", overrides=[*SMALL, *overrides]), groups(CONF))
    session = prepare(config, None, None, RunFolder(tmp_path / "run"))
    batches = [batch["image"] for batch in session.data.train_dataloader()]
    weights = {
        name: value for name, value in session.built.model.state_dict().items() if not name.startswith("encoder.")
    }
    return batches, weights


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return first_epoch(tmp_path_factory.mktemp("plain"), "seed=3")


@pytest.mark.parametrize("peft", ["frozen", "lora"])
def test_peft_options_differ_in_nothing_but_the_backbone(peft, plain, tmp_path):
    batches, weights = first_epoch(tmp_path, "seed=3", f"peft={peft}")
    assert len(batches) == len(plain[0]) > 1
    assert all(torch.equal(one, other) for one, other in zip(batches, plain[0], strict=True))
    assert weights.keys() == plain[1].keys() != set()
    assert all(torch.equal(value, plain[1][name]) for name, value in weights.items())


def test_another_seed_is_another_run(plain, tmp_path):
    batches, weights = first_epoch(tmp_path, "seed=4")
    assert not all(torch.equal(one, other) for one, other in zip(batches, plain[0], strict=True))
    assert not all(torch.equal(value, plain[1][name]) for name, value in weights.items())
