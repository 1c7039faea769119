"""Which run a configuration is: the same answer for one and for many, where what many read is hashed once."""

from pathlib import Path

import pytest

from geocompose.actions import run_inputs
from geocompose.actions.run_identity import Identifier
from geocompose.errors import UserError
from geocompose.experiment import Experiment
from tests.kit.command import SMALL, composed_config
from tests.kit.places import CONF


def experiment(*overrides: str, **choices: str) -> Experiment:
    named = {"backbone": "timm", "decoder": "fcn", "peft": "none", **choices}
    return Experiment(composed_config(*SMALL, *overrides), named, list(overrides), CONF)


@pytest.fixture
def hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is hashed from now on, in a working folder of its own with a file of weights."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.ckpt").write_bytes(b"weights")
    (tmp_path / "others.ckpt").write_bytes(b"others")
    found: list[str] = []
    for name in ("fingerprint", "hash_weights"):
        original = getattr(run_inputs, name)
        monkeypatch.setattr(run_inputs, name, lambda *given, name=name, do=original: found.append(name) or do(*given))
    return found


def test_what_many_cells_read_is_hashed_once(hashed: list[str]):
    many = Identifier(CONF)
    cells = [
        experiment(f"seed={seed}", f"backbone.ckpt_path={weights}.ckpt", "peft=none")
        for seed in range(4)
        for weights in ("weights", "others")
    ]
    folders = [many.folder(cell).path for cell in cells]
    assert hashed == ["hash_weights"] * 2
    assert len(set(folders)) == 8
    assert [Identifier(CONF).folder(cell).path for cell in cells] == folders


def test_a_run_that_is_there_under_another_name_of_its_parts_stays_where_it_is(hashed: list[str]):
    folder = Identifier(CONF).folder(experiment())
    renamed = folder.path.with_name(f"other-names-here-{folder.path.name.rpartition('-')[2]}")
    renamed.mkdir(parents=True)
    assert Identifier(CONF).folder(experiment()).path == renamed


@pytest.mark.parametrize(
    ("overrides", "says"),
    [(("seed=-1",), "seed must be 0 or more"), (("study=a/b",), "study must be"), (("data.bands=[BLU]",), "BLU")],
)
def test_names_that_can_not_be_are_refused_before_anything_is_hashed(hashed: list[str], overrides, says):
    with pytest.raises(UserError, match=says):
        Identifier(CONF).folder(experiment(*overrides))
    assert hashed == []
