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


def test_scores_of_a_table_have_four_decimals_and_errors_as_many_as_say_something(capsys):
    metrics = {"test/mIoU": 0.008, "test/R2": -0.00538, "test/RMSE": 0.005381, "test/MAE": 1234.56, "test/ECE": 0.25}
    beside = {"name": "constant", "detail": "", "metrics": {"mIoU": 1.0, "R2": -12345.678}}
    show_result({**metrics, "test/classes_present": 6.0}, [beside], title="test split")
    shown = {row[1]: row[3::2] for row in map(str.split, capsys.readouterr().out.splitlines()) if row[:1] == ["│"]}
    assert shown == {
        "mIoU": ["0.0080", "1.0000"],
        "R2": ["-0.0054", "-1.235e+04"],
        "RMSE": ["0.005381", "-"],
        "MAE": ["1235", "-"],
        "ECE": ["0.2500", "-"],
        "classes_present": ["6", "-"],
    }
