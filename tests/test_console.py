"""What users name is printed as they named it."""

import pytest

from geocompose.console import console, show_result
from geocompose.studies.cells import Cell
from geocompose.studies.closing_table import closing_table

NAMES = ["[/b]", "[red]roof[/red]", "a[b", "[link=x]y", "\\[x]"]


@pytest.mark.parametrize("name", NAMES)
def test_brackets_in_names_are_no_markup(name, capsys):
    baseline = {"name": name, "detail": f"of {name}", "metrics": {f"IoU_{name}": 0.25}}
    show_result({f"test/IoU_{name}": 0.5}, [baseline], title=f"{name} split")
    console().print(f"written: {name}/map.tif")
    console().print(closing_table([Cell([f"study={name}"]), Cell(["study=b"])], ["study"]))
    shown = capsys.readouterr().out
    for text in (f"IoU_{name}", f"of {name}", f"{name} split", f"written: {name}/map.tif"):
        assert text in shown
