"""geocompose.load: a recorded run's model, data and record in Python."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import geocompose
from geocompose.errors import UserError
from geocompose.runs import Record
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.own_net import NETS

TINY = (*SMALL, "data.baselines=[]", "trainer.max_epochs=1", "logger=csv", "action.scene_scores=false")


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("computed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(*TINY, "study=first", "data.bands=[RED,NIR_NARROW]")
        return only_run("first").resolve()


@pytest.fixture
def recorded(computed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(computed, tmp_path / "outputs" / "first" / computed.name))


def test_a_run_is_its_model_with_the_best_weights_its_data_and_its_record(recorded):
    found = geocompose.load(str(recorded))
    assert isinstance(found.record, Record)
    assert found.record.metrics == record_of(recorded)["metrics"]
    assert found.data.bands == ["RED", "NIR_NARROW"]
    state = torch.load(recorded / "checkpoints" / "best.ckpt", weights_only=False)["state_dict"]
    weights = found.model.state_dict()
    assert all(torch.equal(weights[name.removeprefix("model.")], value) for name, value in state.items())
    assert not found.model.training


def test_model_and_data_give_the_recorded_score(recorded):
    found = geocompose.load(recorded)
    right = known = 0
    for batch in found.data.test_dataloader():
        with torch.inference_mode():
            prediction = found.model(batch["image"]).output.argmax(1)
        valid = batch["mask"] != found.target.ignore_index
        right += int((prediction == batch["mask"])[valid].sum())
        known += int(valid.sum())
    assert right / known == pytest.approx(found.record.metrics["test/accuracy_micro"], abs=1e-6)


def test_a_run_is_loaded_where_its_data_is_not(recorded):
    config = yaml.safe_load((recorded / "config.yaml").read_text())
    config["data"] |= {"_target_": "geocompose.data.sources.GeoTiffSegmentation", "root": "/not/there"}
    del config["data"]["num_scenes"]
    (recorded / "config.yaml").write_text(yaml.safe_dump(config))
    found = geocompose.load(recorded)
    assert next(found.model.parameters()) is not None
    with pytest.raises(UserError, match=r"data\.root=/not/there") as raised:
        _ = found.data
    assert "data={'root': 'DIR'}" in raised.value.__notes__[0]


def test_arguments_of_the_data_may_be_others(recorded):
    assert geocompose.load(recorded, data={"batch_size": 3}).data.test_dataloader().batch_size == 3
    with pytest.raises(UserError, match="bach_size"):
        _ = geocompose.load(recorded, data={"bach_size": 3}).data


@pytest.mark.parametrize("state", ["failed", "interrupted"])
def test_a_run_that_is_not_completed_is_refused(recorded, state):
    record = record_of(recorded) | {"status": state}
    (recorded / "record.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=state):
        geocompose.load(recorded)
    with pytest.raises(UserError, match="Did you mean"):
        geocompose.load(recorded.with_name(recorded.name + "x"))


def test_what_a_file_names_is_imported_only_when_it_is_trusted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "nets_to_load.py").write_text(NETS)
    rest = [text for text in TINY if not text.startswith("backbone")]
    try:
        run(*rest, "backbone=own", "backbone._target_=nets_to_load.Net", "study=own")
        sys.modules.pop("nets_to_load")
        with pytest.raises(UserError, match=r"names 'nets_to_load\.Net'.*It was not imported") as raised:
            geocompose.load(only_run("own"))
        assert "trust=[...]" in raised.value.__notes__[0]
        assert "nets_to_load" not in sys.modules
        found = geocompose.load(only_run("own"), trust=["nets_to_load.Net"])
        assert "nets_to_load" in sys.modules
        assert found.data.bands
        with pytest.raises(UserError, match="trust must be a list"):
            geocompose.load(only_run("own"), trust="nets_to_load.Net")
    finally:
        sys.modules.pop("nets_to_load", None)


def test_importing_geocompose_is_light():
    program = "import geocompose, sys; print(sorted({'torch', 'numpy', 'hydra', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
