"""Tables are complete at any width."""

import pytest

from geocompose.studies import wide_table
from geocompose.studies.wide_table import Column, print_table

COLUMNS = (Column("backbone", folds=True), Column("val/mIoU"), Column("run", folds=True))
ROWS = (("prithvi_eo_v2_300_tl", "0.8123", "a-name-that-is-rather-long-0123456789"), ("-", "-", "[/b]x"))


def printed(capsys, monkeypatch, width, *, terminal):
    monkeypatch.setenv("COLUMNS", str(width))
    console = wide_table.console
    monkeypatch.setattr(wide_table, "console", lambda *a: _as_terminal(console(*a), terminal))
    print_table("title", COLUMNS, ROWS)
    return capsys.readouterr().out


def _as_terminal(out, terminal):
    out._force_terminal = terminal
    out.no_color = True
    return out


@pytest.mark.parametrize("width", [20, 45, 60, 80, 200])
def test_nothing_is_cut_and_no_number_is_split_on_a_terminal_of_any_width(capsys, monkeypatch, width):
    text = printed(capsys, monkeypatch, width, terminal=True)
    assert "0.8123" in text
    assert "…" not in text
    letters = [each for each in text if each.isalnum()]
    for row in ROWS:
        for cell in row:
            assert all(letters.count(each) >= cell.count(each) for each in cell if each.isalnum())
    if width >= 45:
        assert max(map(len, text.splitlines())) <= width or "\x1b" in text


def test_what_is_no_terminal_gets_whole_lines(capsys, monkeypatch):
    text = printed(capsys, monkeypatch, 20, terminal=False)
    row = next(line for line in text.splitlines() if "prithvi" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == list(ROWS[0])


def test_a_terminal_too_narrow_for_the_numbers_gets_a_block_per_row(capsys, monkeypatch):
    text = printed(capsys, monkeypatch, 20, terminal=True)
    assert "backbone  prithvi_eo_v2_300_tl" in text
    assert "val/mIoU  0.8123" in text
