"""A recorded run's model is the one that was trained, whatever would be planned today."""

import json

import pytest
import torch
import yaml

from geocompose.arguments import as_written
from geocompose.errors import UserError
from geocompose.necks import Neck
from tests.kit.made_runs import TARGETS, make_run, trained

SECOND = [{"name": "SelectIndices", "indices": [1]}]


def recorded(folder, necks):
    """Return a run whose decoder reads the second level, recorded as if `neck=auto` had planned that."""
    run = make_run(folder, TARGETS["segmentation"], "neck=list", "neck.necks=[{name: SelectIndices, indices: [1]}]")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["neck"] = {"_target_": "geocompose.planning.AutoNecks", "pyramid": "learned"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    record = json.loads((run / "record.json").read_text())
    record["model"] = {"necks": necks} if necks else {}
    (run / "record.json").write_text(json.dumps(record))
    return run


def test_a_run_is_loaded_with_the_necks_that_were_planned_for_it(tmp_path):
    model = trained(recorded(tmp_path / "run", SECOND)).model
    with torch.no_grad():
        assert model(torch.zeros(1, 6, 32, 32)).output.shape == (1, 4, 32, 32)


def test_a_run_of_other_necks_than_its_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="not of the run in its folder"):
        trained(recorded(tmp_path / "run", None))


class Own(Neck):
    """A user's neck."""


def test_a_neck_of_the_users_is_printed_as_one_would_write_it():
    assert as_written([Own]) == "[{_target_: tests.inference.test_trained.Own, _partial_: true}]"
