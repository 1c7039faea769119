"""What lies in studies: states from records, locks and plans, copies counted once, damaged records named."""

import pytest

from geocompose.errors import UserError
from geocompose.runs import RunFolder
from geocompose.studies.locating import study_folders
from geocompose.studies.plan import PlanCell, PlanEvent, add_cells, add_events
from geocompose.studies.reading import read_studies
from geocompose.studies.time_left import seconds_left
from tests.kit.made_studies import made_run
from tests.kit.run_folders import ID, holding


def planned(study, *identities):
    add_cells(study, [PlanCell(each, (f"seed={place}",), {"backbone": "vit"}) for place, each in enumerate(identities)])


def test_states_are_read_from_records_plan_and_lock(tmp_path):
    made_run(tmp_path, "a" * 10)
    made_run(tmp_path, "b" * 10, status="failed", error="no memory")
    made_run(tmp_path, "c" * 10, status="interrupted")
    made_run(tmp_path, "d" * 10, status="running")  # whose process is dead: nobody holds the lock
    planned(tmp_path, "a" * 10, "e" * 10, "f" * 10, "1" * 10)
    add_events(tmp_path, [PlanEvent("refused", "f" * 10, "they don't fit"), PlanEvent("failed", "1" * 10, "killed")])
    with holding(RunFolder(tmp_path / f"x-{ID}")):
        found = read_studies([tmp_path])
    assert found.states() == {"done": 1, "running": 1, "waiting": 1, "interrupted": 2, "failed": 2, "refused": 1}
    assert {cell.cell.id[0]: (cell.state, cell.reason) for cell in found.cells.values()} == {
        "e": ("waiting", ""),
        "f": ("refused", "they don't fit"),
        "1": ("failed", "killed"),
    }
    assert found.runs["b" * 10].reason == "no memory"


def test_a_cell_that_is_possible_after_all_is_waiting(tmp_path):
    planned(tmp_path, "a" * 10)
    add_events(tmp_path, [PlanEvent("refused", "a" * 10, "no")])
    add_events(tmp_path, [PlanEvent("accepted", "a" * 10)])
    assert read_studies([tmp_path]).states() == {"waiting": 1}


def test_the_end_of_a_process_in_the_plan_counts_only_where_there_is_no_record_whatever_the_clock_says(tmp_path):
    for status, at in (("interrupted", "2026-05-04T12:00:00Z"), ("interrupted", "2999-01-01T00:00:00Z")):
        made_run(tmp_path, at[:4] * 2, status=status, finished=at)
    names = ("20262026", "29992999", "nothing")
    planned(tmp_path, *names)
    add_events(tmp_path, [PlanEvent("failed", each, "segmentation fault", "x.log") for each in names])
    found = read_studies([tmp_path])
    assert [found.runs[each].state for each in names[:2]] == ["interrupted", "interrupted"]
    assert (found.cells["nothing"].state, found.cells["nothing"].reason) == ("failed", "segmentation fault")
    assert str(found.cells["nothing"].log) == "x.log"


def test_a_run_in_two_studies_counts_once_as_the_one_that_got_furthest(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    made_run(one, "a" * 10, status="interrupted")
    made_run(other, "a" * 10)
    made_run(other, "b" * 10)
    planned(one, "a" * 10, "b" * 10, "c" * 10)
    add_events(one, [PlanEvent("refused", "b" * 10, "not there")])
    for folders in ([one, other], [other, one], [one, other, one]):
        found = read_studies(folders)
        assert found.states() == {"done": 2, "waiting": 1}
        assert found.runs["a" * 10].folder.path.parent == other


def test_copies_with_other_metrics_are_told(tmp_path, caplog):
    for name, score in (("one", 0.5), ("other", 0.6)):
        made_run(tmp_path / name, "a" * 10, metrics={"val/mIoU": score, "val/IoU_x": float("nan")})
    found = read_studies([tmp_path / "one", tmp_path / "other"])
    assert found.runs["a" * 10].record.metrics["val/mIoU"] == 0.5
    assert "aaaaaaaaaa is finished in" in caplog.text


def test_equal_copies_are_not_told(tmp_path, caplog):
    for name in ("one", "other"):
        made_run(tmp_path / name, "a" * 10, metrics={"val/IoU_x": float("nan")})
    read_studies([tmp_path / "one", tmp_path / "other"])
    assert caplog.text == ""


@pytest.mark.parametrize("text", ["", '{"schema": 1, "run_id"', "[]", '{"schema": 99, "run_id": "x"}', "\x00\xff"])
def test_damaged_records_are_counted_and_named_and_the_others_are_read(tmp_path, caplog, text):
    made_run(tmp_path, "a" * 10)
    damaged = made_run(tmp_path, "b" * 10)
    (damaged / "record.json").write_text(text)
    planned(tmp_path, "a" * 10, "b" * 10)
    found = read_studies([tmp_path])
    assert found.states() == {"done": 1, "unreadable": 1}
    found.tell_damaged()
    assert "1 record can't be read" in caplog.text
    assert damaged.name in caplog.text


def test_a_readable_copy_stands_for_a_damaged_record(tmp_path):
    damaged = made_run(tmp_path / "one", "b" * 10)
    (damaged / "record.json").write_text("{")
    made_run(tmp_path / "other", "b" * 10)
    assert read_studies([tmp_path / "one", tmp_path / "other"]).states() == {"done": 1}


def test_the_last_line_of_a_plan_that_was_cut_is_left_out_and_told(tmp_path, caplog):
    planned(tmp_path, "a" * 10)
    with (tmp_path / "cells.jsonl").open("a") as file:
        file.write('{"kind": "ce')
    assert read_studies([tmp_path]).states() == {"waiting": 1}
    assert "cut short" in caplog.text


def test_time_left_is_by_runs_of_the_same_parts(tmp_path):
    for place, (backbone, seconds) in enumerate((("vit", 10.0), ("vit", 20.0), ("vit", 90.0), ("swin", 500.0))):
        made_run(tmp_path, f"{place}" * 10, parts=(backbone, "fcn", "none"), seconds=seconds)
    made_run(tmp_path, "a" * 10, parts=("vit", "fcn", "none"), status="interrupted", seconds=5.0)
    choices = {"backbone": "swin", "decoder": "unet", "peft": "none"}
    add_cells(tmp_path, [PlanCell("c" * 10, (), choices), PlanCell("d" * 10, (), choices | {"backbone": "resnet50"})])
    # of the median vit 5 s are spent; the nearest to swin-unet is swin; to another backbone all, whose median is 55 s
    assert seconds_left(read_studies([tmp_path])) == (20 - 5) + 500 + 55


def test_time_left_is_not_known_before_anything_is_finished(tmp_path):
    planned(tmp_path, "a" * 10)
    assert seconds_left(read_studies([tmp_path])) is None
    made_run(tmp_path, "a" * 10)
    assert seconds_left(read_studies([tmp_path])) == 0


def test_studies_are_named_or_given_by_their_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("outputs/floods", "elsewhere/floods"):
        (tmp_path / name).mkdir(parents=True)
    found = study_folders("x", ["floods", "elsewhere/floods", str(tmp_path / "elsewhere" / "floods")])
    assert [str(each) for each in found] == ["outputs/floods", "elsewhere/floods", f"{tmp_path}/elsewhere/floods"]


@pytest.mark.parametrize(
    ("study", "studies", "match"),
    [
        ("flods", None, "no study 'flods'.*Did you mean 'floods'"),
        ("../floods", None, "study must be a folder's name"),
        ("x", [], "one study or more"),
        ("x", ["./none"], "./none does not exist"),
        ("x", ["beside"], "action.studies=..?.?/?beside"),
    ],
)
def test_a_study_that_is_not_there_is_refused(tmp_path, monkeypatch, study, studies, match):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs" / "floods").mkdir(parents=True)
    (tmp_path / "beside").mkdir()
    with pytest.raises(UserError, match=match):
        study_folders(study, studies)
