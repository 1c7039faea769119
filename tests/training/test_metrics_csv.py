"""metrics.csv that was damaged from outside: whole rows count, the others are said."""

import pytest

from geocompose.runs.epoch_rows import read_metrics

WHOLE = b"epoch,step,val/mIoU\n0,2,0.5\n1,4,\n"


@pytest.mark.parametrize(
    ("content", "epochs", "left_out"),
    [
        (WHOLE, [0, 1], None),
        (WHOLE + b"2,6", [0, 1], "1 row"),
        (WHOLE + b"2,6,0.4,9\n", [0, 1], "1 row"),
        (WHOLE + b"2,6,\xff\xfe\n", [0, 1], "1 row"),
        (b"hello\nworld\n", [], "1 row"),
        (b"", [], None),
    ],
)
def test_rows_that_are_not_whole_are_said_and_left_out(content, epochs, left_out, tmp_path, caplog):
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)
    assert [row["epoch"] for row in read_metrics(path)] == epochs
    assert (f"{path} is damaged: {left_out} left out" in caplog.text) is (left_out is not None)
