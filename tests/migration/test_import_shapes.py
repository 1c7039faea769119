"""Every shape that TerraTorch's repository has is imported, or refused in one sentence; none falls back silently."""

from pathlib import Path

import pytest
import yaml

from geocompose.catalog.optional import install_command, installed
from geocompose.errors import UserError
from tests.kit.terratorch_runs import call, composed, conf, translated, written
from tests.kit.terratorch_shapes import SHAPES

__all__ = ["conf"]

IMPORTED = [name for name, shape in SHAPES.items() if shape.refused is None and shape.needs is None]
REFUSED = [name for name, shape in SHAPES.items() if shape.refused is not None]
OPTIONAL = [name for name, shape in SHAPES.items() if shape.needs is not None]


def test_as_many_shapes_are_imported_as_were_when_last_counted():
    assert (len(IMPORTED), len(REFUSED), len(OPTIONAL)) == (28, 11, 5)
    assert set(ALIKE) < set(IMPORTED)


# Prithvi's Swin comes in several sizes, and smp and the UNet with several arguments: one of each is as the others.
ALIKE = (
    "large swin",
    "swin with intervals of bands",
    "swin with bands of other names",
    "swin under a U-Net",
    "swin for images",
    "smp with its arguments",
    "UNet alone",
    "UNet and ASPP of numbers",
    "prithvi of another patch",
    "prithvi with an MLP",
    "timm's convnext_tiny.fb_in22k with another number of classes",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in IMPORTED]
)
def test_a_shape_is_imported_as_an_experiment_that_composes_with_every_setting_accounted_for(name, conf, capsys):
    for file in ("means.txt", "stds.txt"):
        Path(file).write_text(" ".join(map(str, range(1, 7))))
    call(conf, config=written(SHAPES[name].tree, "shape.yaml"))
    told = " ".join(capsys.readouterr().out.split())
    assert "python run.py experiment=imported/shape" in told
    text = (conf / "experiment/imported/shape.yaml").read_text()
    asked = [f"{key}=x" for key in ("data.images", "data.labels") if f"{key}=PATTERN" in told]
    composed(conf, "experiment=imported/shape", "data.root=.", *asked)
    to = translated(SHAPES[name].tree, beside=Path())
    unknown = [key for key, entry in to.ledger.entries().items() if entry.note == "nothing here corresponds to it"]
    assert unknown in ([], ["out_dtype"]), unknown
    assert yaml.safe_load(text)["defaults"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_shape_without_counterpart_is_refused_by_its_name(name, conf):
    with pytest.raises(UserError, match=SHAPES[name].refused):
        call(conf, config=written(SHAPES[name].tree))
    assert not (conf / "experiment/imported").exists()


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_shape_of_an_optional_package_is_imported_where_that_is_installed_else_names_its_file(name, conf):
    needs = SHAPES[name].needs
    assert needs is not None
    if installed(needs):
        call(conf, config=written(SHAPES[name].tree, "shape.yaml"))
        assert (conf / "experiment/imported/shape.yaml").exists()
        return
    with pytest.raises(UserError, match=rf"^model_args\.(backbone|decoder)=\w+: .*{install_command(needs)}"):
        call(conf, config=written(SHAPES[name].tree))
    assert not (conf / "experiment/imported").exists()
