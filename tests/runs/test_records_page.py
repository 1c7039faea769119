"""docs/records.md names every field of a record and every file of a run's folder; old records lack fields and load."""

import json
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from geocompose.errors import UserError
from geocompose.runs import Record, RunFolder
from tests.kit.places import ROOT
from tests.kit.run_folders import begin

PAGE = (ROOT / "docs" / "records.md").read_text()
LATER = {"choices", "defaults", "process", "epochs", "loggers", "stopped_by", "chosen_by"}


def test_the_page_describes_every_field_of_a_record_and_no_other():
    table = PAGE.split("## record.json")[1].split("\n## ")[0]
    named = {
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert named == {part.name for part in fields(Record)} | {"schema"}


def test_the_page_names_every_file_of_a_runs_folder():
    folder = Path("run")
    own = {path.name for path in vars(RunFolder(folder)).values() if isinstance(path, Path) and path != folder}
    assert {name for name in own - {"previous.ckpt"} if name not in PAGE} == set()


def test_a_record_without_the_later_fields_loads(tmp_path):
    path = tmp_path / "record.json"
    Record(run_id="0123456789").write(path)
    values = json.loads(path.read_text())
    for name in LATER:
        del values[name]
    path.write_text(json.dumps(values))
    assert Record.read(path) == Record(run_id="0123456789")
    assert all(
        part.default is not MISSING or part.default_factory is not MISSING
        for part in fields(Record)
        if part.name != "run_id"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", {"seconds": ["fast"]}), ("epochs", {"seconds": 3}), ("process", "4711"), ("choices", ["timm"])],
)
def test_a_later_field_of_another_type_is_refused(field, value, tmp_path):
    path = tmp_path / "record.json"
    Record(run_id="0123456789").write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(UserError, match=f"its {field} is"):
        Record.read(path)


def test_each_save_renews_the_sign_of_life(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "run")
    with folder.lock():
        record = begin(folder)
        first = folder.read().process
        monkeypatch.setattr("geocompose.runs.environment.utc_now", lambda: "2031-01-01T00:00:00Z")
        folder.save(record)
        assert folder.read().process == first | {"alive": "2031-01-01T00:00:00Z"}
        assert first["host"]
        assert first["pid"] > 0
