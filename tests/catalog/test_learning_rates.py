"""`optimizer.lr: null` is the published rate for the method, the start, the family and the size."""

import re

import pytest
from hydra import compose, initialize_config_dir

from geocompose.catalog.learning_rates import ALL_OTHERS, RATES, UNTUNED
from geocompose.catalog.peft_methods import method_name
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups, options
from geocompose.errors import UserError
from geocompose.runs import load_rules, run_id
from geocompose.studies.cells import Cell, Outcome
from geocompose.studies.closing_table import mixed_rates, untuned_rates
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.places import CONF, ROOT
from tests.kit.small import content


def composed(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", overrides=list(overrides)), groups(CONF))


@pytest.mark.parametrize(
    ("line", "rate"),
    [
        ("", 5e-4),
        ("peft=frozen", 9.3e-4),
        ("peft=lora", 9.1e-4),
        ("backbone.pretrained=true", 1.2e-4),
        ("backbone=prithvi_eo_v1_100 backbone.pretrained=true", 1.2e-4),
        ("backbone=prithvi_eo_v2_300_tl backbone.pretrained=true", 3.8e-5),
        ("backbone=prithvi_eo_v2_300 backbone.ckpt_path=some.pt", 3.8e-5),
        ("backbone=prithvi_eo_v2_600 backbone.pretrained=true", 2.0e-5),
        ("backbone=prithvi_eo_v2_600", 5e-4),
        ("backbone=prithvi_eo_v2_600 backbone.pretrained=true task.freeze_backbone=true", 9.3e-4),
        ("backbone=prithvi_eo_v2_300 backbone.pretrained=true backbone.vpt=true peft=frozen", 3.0e-4),
        ("backbone=prithvi backbone.vpt=true", 7.0e-4),
        ("backbone=prithvi_eo_v2_300 backbone.pretrained=true peft=vpt_deep", 3.0e-4),
        ("backbone=vit backbone.pretrained=true peft=vpt_deep", 7.0e-4),
        ("backbone=vit backbone.pretrained=true peft=vpt_shallow", 7.0e-4),
        ("backbone=vit backbone.pretrained=true peft=bitfit", 9.1e-4),
        ("backbone=vit peft=dora", 9.1e-4),
        ("backbone=vit peft=other peft.method=LOHA", 9.1e-4),
        ("backbone=prithvi_eo_v2_300 backbone.pretrained=true peft=last_k_blocks", 3.8e-5),
        ("backbone=vit backbone.pretrained=true peft=lp_ft", 9.3e-4),
        ("backbone=vit backbone.pretrained=true optimizer=adam", 1.2e-4),
        ("backbone=torchgeo_resnet50 backbone.weights=SENTINEL2_ALL_MOCO optimizer=rmsprop", 1.2e-4),
        ("backbone=fusion backbone.parts.s1.pretrained=true", 1.2e-4),
        ("backbone=smp_mit_b0 backbone.weights=imagenet peft=lora optimizer=radam", 9.1e-4),
        ("optimizer=sgd backbone.pretrained=true", 0.01),
        ("optimizer.lr=3e-3 backbone.pretrained=true", 3e-3),
    ],
)
def test_the_rate_follows_method_start_family_and_size(line, rate):
    assert composed(*line.split())["optimizer"]["lr"] == rate


def test_a_default_and_the_same_rate_given_are_one_run():
    rules = load_rules(CONF)
    default, given, other = (
        run_id(composed(*line), {}, rules) for line in ((), ["optimizer.lr=5e-4"], ["peft=frozen"])
    )
    assert default == given != other


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optimizer=sgd optimizer.lr=null", "optimizer.lr must be a rate for SGD; got null"),
        (
            "peft._target_=tests.kit.own_method.Nothing",
            "got null, and no rate of that method is known",
        ),
    ],
)
def test_where_no_rate_is_known_one_must_be_given(line, message):
    with pytest.raises(UserError, match=re.escape(message)):
        composed(*line.split())


def test_every_method_and_start_has_a_row():
    for pretrained in (True, False):
        for method in ("none", "frozen", "lora", "vpt_deep", "vpt_shallow", "last_k_blocks", "lp_ft", ALL_OTHERS):
            assert any((row.method, row.pretrained, row.family) == (method, pretrained, "") for row in RATES)
    named = {row.method for row in RATES} - {ALL_OTHERS}
    assert named <= set(options(CONF, "peft"))
    assert all(row.source.startswith(UNTUNED) for row in RATES if row.method == ALL_OTHERS)


def test_every_option_of_peft_is_known_by_its_name():
    for option in options(CONF, "peft"):
        given = content("peft", option)
        assert option == "other" or method_name(given) == option


def test_the_page_has_every_row_of_the_table():
    rows = re.findall(r"^\| .* \| (\d\.\de-\d) \| (.*) \|$", (ROOT / "docs" / "learning_rates.md").read_text(), re.M)
    assert [float(rate) for rate, _ in rows] == [row.rate for row in RATES]
    assert [source == "untuned" for _, source in rows] == [row.source.startswith("untuned") for row in RATES]


def test_the_record_says_whether_the_rate_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "trainer.max_epochs=1", "study=default_rate")
    record = record_of(only_run("default_rate"))
    assert record["training"]["lr"]["rate"] == 5e-4
    assert record["training"]["lr"]["from"] == "default"
    assert any(line.startswith("optimizer.lr is 0.0005 by default: untuned") for line in record["said"])
    run(*SMALL, "trainer.max_epochs=1", "study=given_rate", "optimizer.lr=1e-3")
    assert record_of(only_run("given_rate"))["training"]["lr"] == {"rate": 1e-3, "from": "given"}


def test_a_sweep_that_mixes_defaults_says_so(tmp_path):
    def cell(rate):
        return Cell([], "done", Outcome(tmp_path, {}, 1.0, True, rate))

    told = mixed_rates([cell(9.1e-4), cell(1.2e-4), cell(9.1e-4), cell(None), Cell([], "failed")])
    assert told is not None
    assert "0.00012 (1 cell), 0.00091 (2 cells)" in told
    assert mixed_rates([cell(9.1e-4), cell(9.1e-4)]) is None
    assert mixed_rates([cell(None), cell(9.1e-4)]) is None


def test_a_sweep_says_which_of_its_rates_are_untuned(tmp_path):
    def cell(rate, untuned=None):
        return Cell([], "done", Outcome(tmp_path, {}, 1.0, True, rate, untuned=untuned))

    told = untuned_rates(
        [cell(9.1e-4, "untuned; LoRA's rate"), cell(1.2e-4), cell(7e-4, "untuned"), Cell([], "failed")]
    )
    assert told is not None
    assert told.startswith("Untuned: the default rate of 2 cells (0.0007, 0.00091) is not one")
    assert untuned_rates([cell(9.1e-4), cell(None)]) is None
