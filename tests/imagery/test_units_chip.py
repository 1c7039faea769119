"""The sample chip in other units, offsets and orders of bands is the same to a model; unseen data stops a run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from hydra import compose, initialize_config_dir
from rasterio.windows import Window

from geocompose.backbones.prithvi.builder import build_prithvi
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.errors import UserError
from geocompose.from_config import build_data, build_model
from geocompose.training import reading_alike
from tests.kit.command import only_run, record_of, run
from tests.kit.places import CONF
from tests.kit.shared import CHIP, needs_chip

pytestmark = needs_chip

BANDS = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"]
SHUFFLED = [11, 3, 8, 0, 12, 5, 1, 7, 2, 10, 4, 9, 6]
PARTS = (
    "data=sen1floods11", "data.tile_px=64", "data.batch_size=2", "data.baselines=[]", "decoder=fcn",
    "decoder.channels=8",
    "decoder.num_convs=1", "trainer.accelerator=cpu", "trainer.max_epochs=1", "trainer.progress_bar=false",
)  # fmt: skip
# How the chip is given, and what is said of it.
GIVEN = {
    "digital numbers": ("dn", ["data.unit=dn", "data.offset=0"]),
    "digital numbers and 1000": ("dn1000", ["data.unit=dn", "data.offset=1000"]),
    "reflectance": ("reflectance", ["data.unit=reflectance"]),
    "shuffled bands": ("shuffled", [f"data.band_names=[{','.join(BANDS[i] for i in SHUFFLED)}]"]),
    "reflectance x 10000 and 1000": ("dn1000", ["data.offset=1000"]),
}


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    """Folders with a corner of the chip, as it is and as it may be given."""
    folder = tmp_path_factory.mktemp("chips")
    corner = Window(200, 0, 192, 128)
    with rasterio.open(next(CHIP.glob("*_S2Hand.tif"))) as file:
        pixels, profile = file.read(window=corner), file.profile
        assert file.nodata in (0, None)
    with rasterio.open(next(CHIP.glob("*_LabelHand.tif"))) as file:
        labels, of_labels = file.read(window=corner), file.profile
    ways = {
        "plain": pixels.astype("uint16"),
        "dn": pixels.astype("uint16"),
        "dn1000": np.where(pixels == 0, 0, pixels + 1000).astype("uint16"),
        "reflectance": (pixels / 10_000).astype("float32"),
        "shuffled": pixels.astype("uint16")[SHUFFLED],
    }
    for way, array in ways.items():
        (folder / way).mkdir()
        for name, content, own in (("S2Hand", array, profile), ("LabelHand", labels, of_labels)):
            written = own | {"height": 128, "width": 192, "dtype": content.dtype, "count": len(content), "nodata": None}
            with rasterio.open(folder / way / f"Spain_7370579_{name}.tif", "w", **written) as file:
                file.write(content)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A weight file as Prithvi's are published, of random numbers."""
    torch.manual_seed(11)
    state = build_prithvi("prithvi_eo_v2_tiny_tl").state_dict()
    path = tmp_path_factory.mktemp("weights") / "prithvi.pt"
    torch.save({f"encoder.{name}": value for name, value in state.items()}, path)
    return path


def configured(folder: Path, *overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", overrides=[*PARTS, f"data.root={folder}", *overrides])
    return check(composed, groups(CONF))


@pytest.fixture(scope="module")
def logits(chips, weights):
    """Return a function: what an untrained model, with or without pretrained weights, says of the first test tiles."""
    models, found = {}, {}

    def of(way: str, normalize: str, *stated: str, pretrained: bool = True) -> torch.Tensor:
        key = (way, normalize, stated, pretrained)
        if key not in found:
            loaded = [f"backbone.ckpt_path={weights}", "data.allow_mismatch=[level]"] if pretrained else []
            config = configured(chips / way, f"data.normalize={normalize}", *loaded, *stated)
            data = build_data(config)
            if pretrained not in models:
                torch.manual_seed(0)
                models[pretrained] = build_model(config, inputs=data.inputs, target=data.target).model.eval()
            reading_alike.read_alike(data, models[pretrained].encoder, config)
            data.setup()
            with torch.inference_mode():
                found[key] = models[pretrained](next(iter(data.test_dataloader()))["image"]).output
        return found[key]

    return of


@pytest.mark.parametrize("normalize", ["dataset", "pretraining", "none"])
@pytest.mark.parametrize("given", GIVEN)
def test_a_chip_given_in_another_way_has_the_same_logits(given, normalize, logits):
    way, stated = GIVEN[given]
    expected = logits("plain", normalize)
    assert expected.std() > 1e-3
    torch.testing.assert_close(logits(way, normalize, *stated), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("given", GIVEN)
def test_random_weights_read_the_published_unit_too(given, logits):
    way, stated = GIVEN[given]
    found = logits(way, "pretraining", *stated, pretrained=False)
    torch.testing.assert_close(found, logits("plain", "pretraining", pretrained=False), rtol=0, atol=1e-5)


def test_an_offset_that_nobody_declares_changes_the_logits(logits):
    assert (logits("dn1000", "pretraining") - logits("plain", "pretraining")).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.level=TOA"], r"level: (they|the published weights of prithvi_eo_v2_tiny_tl) saw BOA .*, and the data "
             r"is TOA .*'data.allow_mismatch=\[level\]'"),
        (["data.unit=null", "data.level=BOA"], r"unit: (they|the published weights of \w+) saw reflectance_1e4 .*, and "
             r"data.unit is null"),
        (["data.unit=uint8", "data.level=BOA"], r"the data is uint8 .*, and no rule turns one into the other"),
        (["data.level=BOA", "data.bands=[B4,B8]"], r"band: they have no B8; .* Write 'data.bands=\[B4\]'"),
        (
            ["data.level=BOA", f"data.bands=[{','.join(BANDS)}]"],
            r"band: they have no B1, B5, B6, B7, B8, B9, B10; they have BLUE, .* Write "
                r"'data.bands=\[B2,B3,B4,B8A,B11,B12\]'",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("source", ["file", "hub"])
def test_what_the_weights_never_saw_stops_a_run_before_anything_is_read_or_downloaded(
    source, overrides, message, chips, weights, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("geocompose.backbones.prithvi.weight_file.read_state_dict", None)
    monkeypatch.setattr("geocompose.backbones.prithvi.weight_file.download", None)
    loaded = "backbone.pretrained=true" if source == "hub" else f"backbone.ckpt_path={weights}"
    with pytest.raises(UserError, match=message):
        run(*PARTS, f"data.root={chips / 'plain'}", loaded, *overrides)
    assert not list(tmp_path.rglob("record.json"))


def test_a_stated_mismatch_is_told_and_recorded(chips, weights, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("geocompose.training.reading_alike.log.propagate", True)
    bands = ["data.bands=[B2,B3,B4,B8]", "data.allow_mismatch=[level,band]"]
    run(*PARTS, f"data.root={chips / 'reflectance'}", f"backbone.ckpt_path={weights}", "data.unit=reflectance", *bands)
    data = record_of(only_run("default"))["data"]
    assert (data["unit"], data["level"], data["offset"]) == ("reflectance", "TOA", None)
    assert data["read_as"] == ["reflectance_1e4"] * 4
    assert [text.partition(":")[0] for text in data["mismatches"]] == ["level", "band"]
    assert "as data.allow_mismatch allows: level: the published weights of prithvi_eo_v2_tiny_tl saw BOA" in caplog.text
    assert "No pretrained weights for B8: these bands start randomly" in caplog.text


def test_evaluate_and_predict_read_other_units_as_in_training(chips, weights, tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.chdir(tmp_path)
    loaded = (f"backbone.ckpt_path={weights}", "data.allow_mismatch=[level]", "data.normalize=pretraining")
    run(*PARTS, f"data.root={chips / 'plain'}", *loaded)
    folder = only_run("default")
    tested = {name: value for name, value in record_of(folder)["metrics"].items() if name.startswith("test/")}
    maps = {}
    for way, said, given in [
        ("plain", "root: {}", ()),
        ("dn1000", "root: {}, offset: 1000", ("action.offset=1000",)),
        ("reflectance", "root: {}, unit: reflectance", ("action.unit=reflectance",)),
    ]:
        if given:
            run("action=evaluate", f"action.run={folder}", "action.data={" + said.format(chips / way) + "}")
        source = chips / way / "Spain_7370579_S2Hand.tif"
        out = f"{way}.tif"
        asked = ("action.kind=probabilities", f"action.output={out}", *given)
        run("action=predict", f"action.run={folder}", f"action.input={source}", *asked)
        with rasterio.open(out) as file:
            maps[way] = file.read()
    shown = capsys.readouterr().out
    assert "read as reflectance_1e4, as in training" in shown
    assert "read as reflectance_1e4, offset 1000" in shown
    results = [json.loads(path.read_text()) for path in (folder / "evaluations").glob("*.json")]
    assert len(results) == 2
    for result in results:
        assert {f"test/{name}": value for name, value in result["metrics"].items()} == pytest.approx(
            {name: tested[name] for name in (f"test/{key}" for key in result["metrics"])}, abs=1e-6
        )
    other = (
        "data=geotiff", f"data.root={chips / 'reflectance'}", "data.images=*_S2Hand.tif", "data.labels=*_LabelHand.tif",
        "data.class_names=[not_water,water]", f"data.band_names=[{','.join(BANDS)}]", "data.nodata=0",
    )  # fmt: skip
    monkeypatch.setattr("geocompose.actions.evaluate.log.propagate", True)
    caplog.set_level("INFO", logger="geocompose")
    run("action=evaluate", f"action.run={folder}", *other)
    assert "data.unit is null: values are assumed to be as in the run's training, reflectance_1e4." in caplog.text
    run("action=evaluate", f"action.run={folder}", *other, "data.unit=reflectance", "data.level=BOA")
    assert "The run was trained on data of the level TOA; this data is BOA." in caplog.text
    with pytest.raises(UserError, match=r"The model reads BLUE in reflectance_1e4 .*; the data is db .*allow_mismatch"):
        run("action=evaluate", f"action.run={folder}", *other, "data.unit=db")
    for way in ("dn1000", "reflectance"):
        assert np.abs(maps[way] - maps["plain"]).max() < 1e-5
