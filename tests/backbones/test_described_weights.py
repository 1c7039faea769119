"""Weights in an own file with a description beside it: what they have seen is held against the data."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from geocompose.actions.run_inputs import weights_hash
from geocompose.backbones.prithvi.seen import seen_by_weights
from geocompose.backbones.smp.builder import build_smp_encoder
from geocompose.backbones.timm.builder import build_timm
from geocompose.catalog.prithvi import variant_named
from geocompose.errors import UserError
from geocompose.imagery.pretraining import Pretraining

BANDS = ["BLUE", "GREEN", "RED", "NIR_NARROW"]
SAID: dict[str, Any] = {
    "bands": BANDS, "unit": "reflectance", "level": "BOA", "mean": [0.1, 0.2, 0.3, 0.4], "std": [1.0, 2.0, 3.0, 4.0],
    "source": "a package",
}  # fmt: skip
SEEN = Pretraining(tuple(BANDS), "reflectance", "BOA", (0.1, 0.2, 0.3, 0.4), (1.0, 2.0, 3.0, 4.0))


def describe(file: Path, said: object) -> None:
    file.with_suffix(".json").write_text(said if isinstance(said, str) else json.dumps(said))


@pytest.fixture
def of_smp(tmp_path):
    """Weights of smp's resnet18 for four bands, in which each band's filters are its number."""
    encoder = build_smp_encoder("resnet18", bands=BANDS)
    state = encoder.state_dict()
    for number in range(len(BANDS)):
        state["encoder.conv1.weight"][:, number] = number
    save_file(state, tmp_path / "own.safetensors")
    return tmp_path / "own.safetensors"


def test_filters_follow_the_described_bands(of_smp, caplog):
    caplog.set_level("INFO", "geocompose")
    describe(of_smp, SAID)
    found = build_smp_encoder("resnet18", bands=["RED", "BLUE"], ckpt_path=str(of_smp))
    assert found.pretraining == SEEN
    assert "have seen BLUE, GREEN, RED, NIR_NARROW; unit reflectance, level BOA." in caplog.text
    first = found.state_dict()["encoder.conv1.weight"]
    assert first[:, 0].eq(2).all()
    assert first[:, 1].eq(0).all()
    with torch.device("meta"):
        assert build_smp_encoder("resnet18", bands=["RED"], ckpt_path=str(of_smp)).pretraining == SEEN


def test_a_band_that_the_weights_have_not_seen_needs_consent(of_smp):
    describe(of_smp, SAID)
    with pytest.raises(UserError, match="no band SWIR_1; they have BLUE, GREEN, RED, NIR_NARROW"):
        build_smp_encoder("resnet18", bands=["SWIR_1"], ckpt_path=str(of_smp))
    found = build_smp_encoder("resnet18", bands=["SWIR_1", "RED"], ckpt_path=str(of_smp), allow_random_bands=True)
    assert found.random_inputs == ["encoder.conv1.weight"]
    assert found.state_dict()["encoder.conv1.weight"][:, 1].eq(2).all()


def test_bands_can_be_stated_beside_a_description_and_without_one(of_smp):
    other = ["BLUE", "GREEN", "RED", "NIR_BROAD"]
    alone = build_smp_encoder("resnet18", bands=["NIR_BROAD"], ckpt_path=str(of_smp), pretrained_bands=other)
    assert alone.pretraining == Pretraining(tuple(other))
    assert alone.state_dict()["encoder.conv1.weight"].eq(3).all()
    stated = {"unit": "reflectance", "level": None}
    both = build_smp_encoder("resnet18", bands=BANDS, ckpt_path=str(of_smp), pretrained_on=stated)
    assert both.pretraining == Pretraining(tuple(BANDS), "reflectance")
    describe(of_smp, SAID)
    named = build_smp_encoder("resnet18", bands=["NIR_BROAD"], ckpt_path=str(of_smp), pretrained_bands=other)
    assert named.pretraining == Pretraining(tuple(other), "reflectance", "BOA", SEEN.mean, SEEN.std)
    with pytest.raises(UserError, match=r"names 1 bands, but the description beside .* has 4"):
        build_smp_encoder("resnet18", bands=["RED"], ckpt_path=str(of_smp), pretrained_bands=["RED"])
    with pytest.raises(UserError, match="has recorded it: leave it out"):
        build_smp_encoder("resnet18", bands=BANDS, ckpt_path=str(of_smp), pretrained_on=stated)


def test_without_a_description_nothing_is_known(of_smp):
    assert build_smp_encoder("resnet18", bands=BANDS, ckpt_path=str(of_smp)).pretraining is None
    describe(of_smp, {"library": "smp", "in_channels": 4})  # of another kind
    assert build_smp_encoder("resnet18", bands=BANDS, ckpt_path=str(of_smp)).pretraining is None


def test_timm_and_prithvi_read_descriptions_too(tmp_path):
    file = tmp_path / "own.safetensors"
    save_file(build_timm("test_resnet", bands=BANDS).state_dict(), file)
    describe(file, SAID)
    assert build_timm("test_resnet", bands=BANDS, ckpt_path=str(file)).pretraining == SEEN
    with pytest.raises(UserError, match=r"give the bands in that order, 'data\.bands=\[BLUE,GREEN,RED,NIR_NARROW\]'"):
        build_timm("test_resnet", bands=BANDS[::-1], ckpt_path=str(file))
    row = variant_named("prithvi_eo_tiny")
    assert seen_by_weights("prithvi_eo_tiny", row, BANDS, str(file), None) == SEEN
    with pytest.raises(UserError, match="has recorded it: leave it out"):
        seen_by_weights("prithvi_eo_tiny", row, BANDS, str(file), {"level": "TOA"})


def test_a_description_is_part_of_the_identity(of_smp):
    backbone = {"_target_": "geocompose.backbones.smp.builder.build_smp_encoder", "ckpt_path": str(of_smp)}
    hashes = [weights_hash(backbone)]
    for said in ({"note": "none"}, SAID, {**SAID, "unit": "reflectance_1e4"}, {**SAID, "source": "elsewhere"}):
        describe(of_smp, said)
        hashes.append(weights_hash(backbone))
    assert hashes[0] == hashes[1] != hashes[2] != hashes[3]
    assert hashes[4] == hashes[2]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("{", "property name"),
        ({**SAID, "bands": []}, "bands: List should have at least 1 item"),
        ({**SAID, "bands": "RED"}, "bands: Input should be a valid list; got 'RED'"),
        ({**SAID, "bands": [1, 2, 3, 4]}, r"bands\.0: Input should be a valid string"),
        ({**SAID, "unit": "percent"}, "unit: Input should be 'reflectance'"),
        ({**SAID, "level": "L2A"}, "level: Input should be 'TOA' or 'BOA'"),
        ({**SAID, "mean": [0.1]}, "mean has 1 values, and bands has 4"),
        ({**SAID, "std": [1.0, 2.0, 0.0, 1.0]}, r"std\.2: Input should be greater than 0"),
        ('{"bands": ["RED"], "mean": [NaN]}', r"mean\.0: Input should be a finite number"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_damaged_description_is_named(of_smp, said, reason):
    describe(of_smp, said)
    with pytest.raises(UserError, match=rf"own\.json lies beside weights of that name .*{reason}.*Mend it"):
        build_smp_encoder("resnet18", bands=BANDS, ckpt_path=str(of_smp))
