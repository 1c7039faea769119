"""cells.jsonl: added to, never rewritten; what a kill cuts short is left out, what is not a plan is refused."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from geocompose.errors import UserError
from geocompose.runs.atomic import RefusedError
from geocompose.studies import plan as module
from geocompose.studies.plan import PLAN_NAME, PlanCell, PlanEvent, add_cells, add_events, read_plan
from geocompose.studies.reading import read_studies
from geocompose.studies.states import states
from tests.kit.made_studies import made_run


def cell(identity: str, *overrides: str) -> PlanCell:
    return PlanCell(identity, overrides, {"backbone": "prithvi", "experiment": None})


def lines(study: Path) -> list[dict]:
    return [json.loads(line) for line in (study / PLAN_NAME).read_text().splitlines()]


def test_a_second_sweep_adds_what_is_new_and_touches_nothing_else(tmp_path):
    study = tmp_path / "outputs" / "floods"
    add_cells(study, [cell("a", "seed=0"), cell("b", "seed=1"), cell("a", "seed=0")])
    first = (study / PLAN_NAME).read_bytes()
    plan = add_cells(study, [cell("b", "+seed=1"), cell("c", "seed=2")])
    assert (study / PLAN_NAME).read_bytes().startswith(first)
    assert list(plan.cells) == list(read_plan(study).cells) == ["a", "b", "c"]
    assert plan.cells["b"].overrides == ("seed=1",)
    assert lines(study)[0].items() >= {"kind": "cell", "id": "a", "overrides": ["seed=0"], "config_dirs": []}.items()
    assert lines(study)[0]["choices"] == {"backbone": "prithvi", "experiment": None}


def test_the_last_word_on_a_cell_counts(tmp_path):
    add_cells(tmp_path, [cell("a")])
    add_events(tmp_path, [PlanEvent("refused", "a", "The parts don't fit.")])
    assert read_plan(tmp_path).refused("a").reason == "The parts don't fit."
    add_events(tmp_path, [PlanEvent("accepted", "a")])
    assert read_plan(tmp_path).refused("a") is None
    add_events(tmp_path, [PlanEvent("failed", "a", "killed by SIGSEGV (11)", "logs/a.log")])
    assert read_plan(tmp_path).failed("a").log == "logs/a.log"


@pytest.mark.parametrize("rest", [b'{"kind": "cell", "id": "c', b'{"kind"', b"\xff", b"x" * 9000])
def test_a_line_that_was_cut_short_is_left_out_and_the_next_begins_anew(tmp_path, rest):
    add_cells(tmp_path, [cell("a"), cell("b")])
    with open(tmp_path / PLAN_NAME, "ab") as file:
        file.write(rest)
    plan = read_plan(tmp_path)
    assert (list(plan.cells), plan.cut) == (["a", "b"], True)
    assert list(add_cells(tmp_path, [cell("c")]).cells) == ["a", "b", "c"]
    assert [line["id"] for line in lines(tmp_path)] == ["a", "b", "c"]
    assert not read_plan(tmp_path).cut


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("not json", "line 2 is not JSON"),
        ("[1]", "line 2 has no kind, id and time"),
        ("[" * 100_000, "line 2 is not JSON"),
        ('{"kind": "cell", "id": 3, "at": ""}', "line 2 has no kind"),
        ('{"kind": "run", "id": "b", "at": ""}', "of the kind 'run'"),
        ('{"kind": "cell", "id": "b", "at": "", "overrides": "seed=0", "choices": {}, "config_dirs": []}', "overrides"),
        ('{"kind": "cell", "id": "b", "at": "", "overrides": [], "choices": {"a": 1}, "config_dirs": []}', "choices"),
        ('{"kind": "cell", "id": "b", "at": "", "overrides": [], "choices": {}}', "config_dirs"),
        ('{"kind": "failed", "id": "b", "at": "", "reason": 1}', "reason"),
    ],
)
def test_what_is_not_a_plan_is_refused_with_what_to_do(tmp_path, line, says):
    add_cells(tmp_path, [cell("a")])
    with open(tmp_path / PLAN_NAME, "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match=says) as error:
        read_plan(tmp_path)
    assert "Move the file away" in str(error.value)
    with pytest.raises(UserError, match=says):
        add_cells(tmp_path, [cell("c")])


def test_a_plan_larger_than_any_is_not_read(tmp_path, monkeypatch):
    add_cells(tmp_path, [cell("a")])
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    with pytest.raises(UserError, match="larger than"):
        read_plan(tmp_path)


def test_two_who_add_at_once_lose_nothing(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: add_cells(tmp_path, [cell(f"{number % 20}")]), range(60)))
    assert sorted(line["id"] for line in lines(tmp_path)) == sorted(map(str, range(20)))


def test_a_disk_that_fills_up_leaves_whole_lines(tmp_path, monkeypatch):
    import errno
    import os

    add_cells(tmp_path, [cell("a")])
    write = os.pwrite

    def half(file: int, content: bytes, place: int) -> int:
        if len(content) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, content[: len(content) // 2], place)

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(RefusedError, match="disk is full"):
        add_cells(tmp_path, [cell("b"), cell("c")])
    monkeypatch.setattr(os, "pwrite", write)
    assert "c" not in read_plan(tmp_path).cells
    assert list(add_cells(tmp_path, [cell("b"), cell("c")]).cells) == ["a", "b", "c"]


def test_a_study_without_a_plan_has_no_cells(tmp_path):
    assert read_plan(tmp_path).cells == {}


def test_a_cell_planned_again_as_another_run_takes_the_place_of_the_first(tmp_path):
    add_cells(tmp_path, [cell("a" * 10, "seed=0")])
    plan = add_cells(tmp_path, [cell("b" * 10, "seed=0")])  # its data has changed
    assert [each.id[0] for each in plan.cells.values() if not plan.is_outdated(each)] == ["b"]
    assert [(each.id[0], state.state) for each, state in states(tmp_path)] == [("b", "waiting")]
    assert read_studies([tmp_path]).states() == {"waiting": 1}
    made_run(tmp_path, "a" * 10)  # what was computed of it stays
    assert [(each.id[0], state.state) for each, state in states(tmp_path)] == [("a", "done"), ("b", "waiting")]
    add_cells(tmp_path, [cell("a" * 10, "seed=0")])  # the data is put back
    plan = read_plan(tmp_path)
    assert [each.id[0] for each in plan.cells.values()] == ["a", "b"]
    assert plan.has(cell("a" * 10, "seed=0"))
    assert not plan.has(cell("b" * 10, "seed=0"))
    lines = (tmp_path / "cells.jsonl").read_text().count("\n")
    add_cells(tmp_path, [cell("a" * 10, "seed=0")])
    assert (tmp_path / "cells.jsonl").read_text().count("\n") == lines == 3


def test_a_sweep_and_a_look_at_its_study_judge_a_cell_alike(tmp_path):
    runs = {"a": "completed", "b": "failed", "c": "interrupted", "d": "running", "e": "interrupted"}
    names = "abcdefgh"
    add_cells(tmp_path, [PlanCell(each * 10, (f"seed={each}",), {}) for each in names])
    for each, status in runs.items():
        made_run(tmp_path, each * 10, status=status)
    ends = [PlanEvent("failed", each * 10, "crash", "old/place.log") for each in "ef"]
    add_events(tmp_path, [*ends, PlanEvent("refused", "g" * 10, "no")])
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / f"{'f' * 10}.log").write_text("crash\n")
    looked = read_studies([tmp_path])
    both = {**looked.runs, **looked.cells}
    told = {cell.id: (state.state, state.reason, state.log) for cell, state in states(tmp_path)}
    assert {identity: (each.state, each.reason, each.log) for identity, each in both.items()} == told
    assert told["e" * 10][0] == "interrupted"  # its record is newer than what the plan says, whatever the clocks said
    assert told["f" * 10][2] == tmp_path / "logs" / f"{'f' * 10}.log"  # the study was moved since
