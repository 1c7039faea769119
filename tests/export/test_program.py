"""A program takes raw values and says what the run's model says of them, for each task and whatever goes in beside."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from geocompose.errors import UserError
from geocompose.export.program import Program, description_of, inputs_of, program_of, reference_of
from geocompose.export.tiles import made_tiles
from geocompose.imagery.bands import HLS_BANDS
from geocompose.models import ModelOutput
from tests.kit.bundles import LORA, PRITHVI, TIMM_VIT, learned_run
from tests.kit.command import composed_config, run
from tests.kit.data_rasters import image, label, write
from tests.kit.exported import SMALLEST, source_of
from tests.kit.made_runs import TARGETS, TINY

OF_PIXELS = ("segmentation", "regression")


def says_the_same(source, recorded):
    """Return the output of a source's program, after it was held against that of its model."""
    tiles = made_tiles(recorded)
    tiles.raw[1, :, ..., 3:5, 7] = float("nan")
    tiles.normalized[1, :, ..., 3:5, 7] = 0  # the mean of each band, as training has it
    program, line = program_of(source)
    with torch.inference_mode():
        found = program(**inputs_of(tiles))
    torch.testing.assert_close(found, reference_of(source, tiles), atol=1e-4, rtol=1e-4)
    return found, line


@pytest.mark.parametrize("kind", TARGETS)
def test_each_task_has_its_output(kind, tmp_path):
    composition = TINY if kind in OF_PIXELS else SMALLEST
    source = source_of(learned_run(tmp_path / "run", kind=kind, composition=composition))
    found, line = says_the_same(source, source.run.record.data)
    assert line == "adapters: none"
    said = description_of(source)
    assert list(found.shape)[1:] == said["output"]["shape"][1:]
    assert said["output"]["name"] == ("logits" if TARGETS[kind].of_classes else "values")
    assert said["classes" if TARGETS[kind].of_classes else "variables"] == list(TARGETS[kind].names)


def test_dates_and_places_go_in_beside(tmp_path):
    composition = (*PRITHVI, "backbone.variant=prithvi_eo_v2_tiny_tl")
    folder = learned_run(tmp_path / "run", composition=composition)
    path = folder / "record.json"
    record = json.loads(path.read_text())
    record["data"]["coordinates"] = ["time", "location"]
    path.write_text(json.dumps(record))
    source = source_of(folder)
    tiles = made_tiles(source.run.record.data)
    tiles.coordinates["temporal_coords"][:2] = torch.tensor([2021.0, 100.0])
    tiles.coordinates["location_coords"][:2] = torch.tensor([41.0, -5.8])
    with torch.inference_mode():
        found = program_of(source)[0](**inputs_of(tiles))
        without = program_of(source)[0](tiles.raw)
    torch.testing.assert_close(found, reference_of(source, tiles), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found[:2], without[:2], atol=1e-3)
    torch.testing.assert_close(found[2], without[2])  # NaN: not known
    assert description_of(source)["inputs"] == {
        "image": ["batch", 6, 32, 32],
        "temporal_coords": ["batch", 1, 2],
        "location_coords": ["batch", 2],
    }


def test_of_several_frames_a_pixel_that_is_missing_in_one_is_missing_in_all():
    class Latest(torch.nn.Module):
        def forward(self, image, *_):
            return ModelOutput(image[:, :, -1])

    program = Program(Latest(), TARGETS["segmentation"], [10.0, 20.0], [2.0, 4.0], num_frames=3)
    image = torch.full((2, 2, 3, 4, 4), 30.0)
    image[1, 0, 0, 2, 3] = float("nan")
    found = program(image)
    assert found.shape == (2, 2, 4, 4)
    assert found[0, :, 2, 3].tolist() == [10.0, 2.5]
    assert found[1, :, 2, 3].tolist() == [0.0, 0.0]
    assert found[1, :, 2, 2].tolist() == [10.0, 2.5]


def test_adapters_that_cannot_be_merged_are_layers_of_the_program_and_it_is_said(tmp_path, monkeypatch):
    source = source_of(learned_run(tmp_path / "run", *LORA, composition=TIMM_VIT))
    _, line = says_the_same(source, source.run.record.data)
    assert line == "adapters: merged into their layers"

    def refused(backbone):
        backbone.requires_grad_(False)
        raise UserError("They change more than weights.")

    monkeypatch.setattr("geocompose.inference.plain_model.merge", refused)
    _, line = says_the_same(source, source.run.record.data)
    assert line == "adapters: layers of the program (They change more than weights)"


def test_auxiliary_outputs_are_left_out(tmp_path):
    source = source_of(learned_run(tmp_path / "run", "auxiliary=fcn", "task.aux_loss={fcn: 0.4}", composition=TINY))
    assert len(source.trained.model.aux_heads) == 1
    program, _ = program_of(source)
    assert not any("aux" in name for name in program.state_dict())


def test_a_run_that_passes_over_frames_is_refused(tmp_path):
    source = source_of(learned_run(tmp_path / "run", kind="classification", composition=SMALLEST))
    config = {
        **source.run.config,
        "data": {"missing_frames": "mask", "num_frames": 3},
        "temporal": {"_target_": "TemporalPooling", "pooling": "mean"},
    }
    with pytest.raises(UserError, match=r"data.missing_frames=mask.*action.format=bundle"):
        program_of(replace(source, run=replace(source.run, config=config)))


@pytest.fixture
def rasters(tmp_path):
    """The data configuration of six scenes with four classes."""
    for seed in range(6):
        write(tmp_path / f"data/s{seed}_img.tif", image(seed, 32, 32, 6), HLS_BANDS, nodata=-1)
        write(tmp_path / f"data/s{seed}_lab.tif", label(seed, 32, 32, classes=4))
    return composed_config(
        "data=geotiff", f"data.root={tmp_path / 'data'}", "data.images='*_img.tif'", "data.labels='*_lab.tif'",
        "data.class_names=[water,vegetation,bare,built]", "data.tile_px=32",
    )["data"]  # fmt: skip


def test_the_command_compares_on_the_run_s_own_test_tiles_and_says_where_they_are_not_here(
    rasters, tmp_path, monkeypatch, capsys, caplog
):
    monkeypatch.chdir(tmp_path)
    learned_run(tmp_path / "run", *LORA, composition=TIMM_VIT)
    path = tmp_path / "run/config.yaml"
    config = path.read_text()
    path.write_text(config + "data: " + json.dumps(rasters) + "\n")
    export = ("action=export", "action.run=run", "action.format=merged")
    run(*export, "action.output=one")
    told = json.loads((tmp_path / "one/manifest.json").read_text())["weights"]["merged"]["compared"]
    assert told["tiles"] == "1 tile of the run's test split"
    assert np.isfinite(told["largest_difference"])
    path.write_text(config + "data: " + json.dumps({**rasters, "root": str(tmp_path / "gone")}) + "\n")
    run(*export, "action.output=two")
    assert "made tiles, not on real ones" in caplog.text
    assert "gone is not an existing folder" in caplog.text
    assert "made tiles" in capsys.readouterr().out
