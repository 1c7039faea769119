"""What of data and pretrained weights has to agree, and what may differ."""

import pytest
from hydra import compose, initialize_config_dir
from torch import nn

from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.contracts.backbone import contract_of
from geocompose.errors import UserError
from geocompose.imagery.agreement import (
    check_convertible,
    consents,
    mismatches,
    taken_for,
    units_read,
    with_consent,
)
from geocompose.imagery.bands import HLS_BANDS, canonical
from geocompose.imagery.pretraining import Pretraining
from geocompose.imagery.units import Values
from geocompose.training import early_agreement
from geocompose.training.early_agreement import check_early
from geocompose.training.reading_alike import read_alike
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import BANDS as FIVE
from tests.kit.data_rasters import arguments, pair
from tests.kit.places import CONF

HLS = Pretraining(HLS_BANDS, "reflectance_1e4", "BOA", (1.0,) * 6, (2.0,) * 6)


BOA = Values("reflectance_1e4", "BOA")


# Matching


class Weighted(nn.Module):
    """A backbone that declares what its weights have seen."""

    def __init__(self, seen, published=None):
        super().__init__()
        self.pretraining, self.published = seen, published


class Fused(nn.Module):
    """Backbones side by side, which says which of them reads which bands, as late fusion does."""

    def __init__(self, *readers):
        super().__init__()
        self.readers = list(readers)


def unit_of_each(backbone, bands):
    return units_read(contract_of(backbone).known_of(bands), bands)


def differing(values, bands=HLS_BANDS, seen=HLS, allowed=()):
    return mismatches(contract_of(Weighted(seen)).seen(bands), values, allowed=set(allowed))


def test_data_that_the_weights_have_seen_passes():
    assert differing(BOA) == []
    assert differing(Values("reflectance", "BOA"), ["B8A", "B4"]) == []
    assert differing(Values("dn", "BOA", offset=0)) == []


def test_random_weights_ask_nothing():
    assert mismatches(contract_of(Weighted(None, HLS)).seen(["VV"]), Values(), allowed=set()) == []
    assert mismatches(contract_of(nn.Identity()).seen(["VV"]), Values(), allowed=set()) == []


@pytest.mark.parametrize(
    ("values", "bands", "allow", "message"),
    [
        (Values(level="BOA"), HLS_BANDS, "unit", r"unit: they saw reflectance_1e4 \(reflectance x 10000\), and "
             r"data.unit is null. Write what the files hold: data.unit=reflectance_1e4, or reflectance, dn"),
        (Values("dn", "BOA"), HLS_BANDS, "unit", r"the data is dn .*, and its data.offset is null. Write "
             r"data.offset=0, or what was added: 1000"),
        (Values("db", "BOA"), HLS_BANDS, "unit", r"the data is db .*, and no rule turns one into the other. Take other "
             r"data or weights"),
        (Values("reflectance_1e4", "TOA"), HLS_BANDS, "level", r"level: they saw BOA \(surface, .*\), and the data is "
             r"TOA \(top of atmosphere\). Take data of the level BOA"),
        (Values("reflectance_1e4"), HLS_BANDS, "level", r"level: they saw BOA .*, and data.level is null. Write what "
             r"the files hold: data.level=TOA or BOA"),
        (BOA, ["B4", "B8"], "band", r"band: they have no B8; they have BLUE, .*. B8 \(NIR_BROAD\) is not B8A "
             r"\(NIR_NARROW\). Write 'data.bands=\[B4\]'"),
        (BOA, ["VV"], "band", r"band: they have no VV; they have BLUE, .* Take other data or weights"),
    ],
)  # fmt: skip
def test_a_mismatch_is_refused_unless_it_is_stated(values, bands, allow, message):
    with pytest.raises(UserError, match=message) as error:
        differing(values, bands)
    assert f"'data.allow_mismatch=[{allow}]'" in str(error.value)
    (intended,) = differing(values, bands, allowed=[allow])
    assert intended.startswith(f"{allow}: they ")
    for other in {"unit", "level", "band"} - {allow}:
        with pytest.raises(UserError, match=message):
            differing(values, bands, allowed=[other])


def test_all_that_differs_is_told_at_once():
    with pytest.raises(UserError, match=r"unit: .*level: .*band: .*'data.allow_mismatch=\[unit,level,band\]'"):
        differing(Values(), ["B4", "VV"])


def test_weights_of_which_nothing_is_known_ask_for_their_bands_alone():
    assert differing(Values(), ["RED"], Pretraining(("RED", None))) == []
    with pytest.raises(UserError, match=r"band: they have no VV; they have RED\."):
        differing(Values(), ["RED", "VV"], Pretraining(("RED", None)))


def test_photographs_have_no_level_and_no_rule_to_reflectance():
    photographs = Pretraining(("RED", "GREEN", "BLUE"), "uint8", None, (1.0, 2.0, 3.0), (1.0, 1.0, 1.0))
    assert differing(Values("uint8"), ["BLUE", "RED"], photographs) == []
    assert photographs.statistics(["BLUE", "RED"]) == ([3.0, 1.0], [1.0, 1.0])
    with pytest.raises(UserError, match="unit: they saw uint8"):
        differing(BOA, ["BLUE", "RED"], photographs)


def test_each_part_of_a_fusion_is_matched_with_its_own_bands():
    optical = Weighted(HLS)
    fused = Fused((optical, ["RED", "SWIR_1"]), (Weighted(None), ["VV"]))
    assert mismatches(contract_of(fused).seen(["RED", "SWIR_1", "VV"]), BOA, allowed=set()) == []
    assert unit_of_each(fused, ["VV", "RED", "SWIR_1"]) == [None, "reflectance_1e4", "reflectance_1e4"]
    swapped = Fused((optical, ["RED", "VV"]), (Weighted(None), ["VV"]))
    with pytest.raises(UserError, match="band: they have no VV"):
        mismatches(contract_of(swapped).seen(["RED", "VV"]), BOA, allowed=set())
    both = Fused((optical, ["RED"]), (Weighted(Pretraining(("RED",), "uint8")), ["RED"]))
    with pytest.raises(UserError, match="read the band RED in reflectance_1e4 and in uint8"):
        unit_of_each(both, ["RED"])


def test_weights_for_radar_are_matched_with_the_radar_alone():
    radar = Pretraining(("VV", "VH"), "db")
    values = Values("reflectance_1e4", "TOA", more={"VV": Values("power"), "VH": Values("power")})
    assert differing(values, ["VH"], radar) == []
    unstated = Values("reflectance_1e4", more={"VV": Values(group="data.more_images[0]")})
    with pytest.raises(UserError, match=r"unit: they saw db .*, and data.more_images\[0\].unit is null"):
        differing(unstated, ["VV"], radar)


def test_the_published_unit_is_read_with_random_weights_too():
    assert unit_of_each(Weighted(None, HLS), ["RED"]) == ["reflectance_1e4"]
    assert unit_of_each(nn.Identity(), ["RED"]) == [None]
    with pytest.raises(UserError, match=r"The model reads RED in reflectance_1e4 .*; the data is db"):
        check_convertible(Values("db"), ["RED"], ["reflectance_1e4"])
    check_convertible(Values("db", allow_mismatch=["unit"]), ["RED"], ["reflectance_1e4"])
    check_convertible(Values(), ["RED"], ["reflectance_1e4"])


@pytest.mark.parametrize(
    ("stated", "published", "said"),
    [
        ({}, "reflectance_1e4", ["data.unit is null: data.normalize=pretraining assumes values in "
             "reflectance_1e4 (reflectance x 10000)."]),
        ({}, None, ["data.unit is null: data.normalize=pretraining assumes values in the published numbers' "
             "unit, which is not known."]),
        ({"unit": "reflectance"}, "reflectance_1e4", ["Values are converted as they are read: reflectance becomes "
             "reflectance_1e4 (BLUE, GREEN, RED, NIR_NARROW, SWIR_1)."]),
        ({"normalize": "dataset"}, "reflectance_1e4", []),
    ],
)  # fmt: skip
def test_numbers_published_for_a_unit_are_not_applied_to_values_of_none_without_a_word(
    tmp_path, caplog, stated, published, said
):
    pair(tmp_path)
    names = [canonical(name) for name in FIVE]
    seen = Pretraining(tuple(names), published, None, (1.0,) * 5, (2.0,) * 5)
    data = geotiff(**{**arguments(tmp_path), "normalize": "pretraining", **stated})
    with caplog.at_level("INFO", logger="geocompose"):
        read_alike(data, Weighted(None, seen), {"backbone": {}, "data": {}})
    assert [record.getMessage() for record in caplog.records if record.name == "geocompose"] == said


def test_further_rasters_of_no_stated_unit_are_named_by_their_key():
    values = Values("dn", more={"VV": Values(group="data.more_images[0]")})
    assert taken_for(values, ["RED", "VV"], ["reflectance_1e4", "db"]) == {"data.more_images[0].unit": "db"}
    assert taken_for(Values(), ["RED"], [None]) == {"data.unit": None}


def test_one_consent_is_for_bands_wherever_it_is_written():
    backbone = {"allow_random_bands": False, "parts": {"s2": {"allow_random_bands": False}, "s1": {"name": "resnet18"}}}
    assert consents({"data": {"allow_mismatch": ["level"]}, "backbone": backbone}) == {"level"}
    assert consents({"backbone": {"allow_random_bands": True}}) == {"band"}
    told = with_consent(backbone, consented=True)
    assert told["allow_random_bands"]
    assert told["parts"]["s2"]["allow_random_bands"]
    assert not backbone["parts"]["s2"]["allow_random_bands"]


def test_what_is_said_without_torch_is_what_the_backbone_declares(monkeypatch):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", overrides=["backbone.pretrained=true"]), groups(CONF))
    messages = []
    for target in ("geocompose.backbones.prithvi.builder.build_prithvi", "another"):
        monkeypatch.setattr(early_agreement, "PRITHVI", target)
        for values in (Values(), Values("db", "TOA"), BOA):
            with pytest.raises(UserError) as error:
                check_early(config, ["B4", "B8"], values)
            messages.append(str(error.value))
    assert messages[:3] == messages[3:]
    assert len(set(messages)) == 3


@pytest.mark.parametrize("backbone", ["prithvi", "timm"])
def test_random_weights_are_not_asked_what_they_have_seen(backbone, monkeypatch):
    monkeypatch.setattr(early_agreement, "mismatches", None)
    config = {"backbone": {"_target_": f"geocompose.backbones.{backbone}", "pretrained": False, "ckpt_path": None}}
    check_early(config, ["VV"], Values())
    foreign = {"backbone": {"_target_": "somebody.Backbone", "pretrained": True}}
    check_early(foreign, ["VV"], Values())
