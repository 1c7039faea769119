"""record.json reads back as it was written, and a damaged or foreign one is one clear message."""

import json
import math

import pytest

from geocompose.errors import UserError
from geocompose.runs import Record


def full() -> Record:
    return Record(
        run_id="0123456789",
        status="completed",
        command="python run.py",
        started="2026-05-04T12:00:00Z",
        finished="2026-05-04T12:01:00Z",
        seconds=60,
        metrics={"test/mIoU": 0.5, "test/IoU_cloud": math.nan, "test/classes_present": 2},
        baselines=[{"name": "ndwi", "detail": "threshold 0.1", "metrics": {"mIoU": 0.8, "IoU_cloud": math.nan}}],
        model={"parameters": 5_600_000, "trainable": 100, "gflops": 1.5},
        data={"fingerprint": "d" * 64, "bands": ["RED"]},
        weights={"sha256": "e" * 64},
        seeds={"seed": 0, "data": 0},
        versions={"python": "3.11.9", "torch": None},
        git={"commit": "c" * 40, "dirty": True},
        hardware={"cores": 2},
        peak_memory_mb=812.5,
    )


def test_a_record_reads_back_as_it_was_written(tmp_path):
    path = tmp_path / "record.json"
    full().write(path)
    read = Record.read(path)
    assert math.isnan(read.metrics.pop("test/IoU_cloud"))
    assert math.isnan(read.baselines[0]["metrics"].pop("IoU_cloud"))
    expected = full()
    del expected.metrics["test/IoU_cloud"], expected.baselines[0]["metrics"]["IoU_cloud"]
    assert read == expected


def test_the_file_has_the_names_that_scripts_rely_on_and_is_strict_json(tmp_path):
    path = tmp_path / "record.json"
    full().write(path)
    text = path.read_text()
    assert "NaN" not in text
    values = json.loads(text)
    assert values["schema"] == 1
    assert values["metrics"]["test/IoU_cloud"] is None
    assert {"status", "run_id", "metrics", "seconds", "model", "error"} <= values.keys()


def test_a_record_without_a_later_field_is_still_read(tmp_path):
    (tmp_path / "record.json").write_text('{"schema": 1, "run_id": "a", "status": "failed"}')
    assert Record.read(tmp_path / "record.json") == Record(run_id="a", status="failed")


@pytest.mark.parametrize("length", [0, 1, 2, 100, -2])
def test_a_truncated_record_is_refused_with_what_to_do(tmp_path, length):
    path = tmp_path / "record.json"
    full().write(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=r"record\.json is damaged .*Delete this file and run the same command again"):
        Record.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it has no schema and run_id"),
        ("null", "it has no schema and run_id"),
        ('{"status": "ok"}', "it has no schema and run_id"),
        ('{"schema": 2, "run_id": "a"}', "its schema is 2, this version knows 1"),
        ('{"schema": 1, "run_id": "a", "tiles": 1}', "does not know its 'tiles'"),
        ('{"schema": 1, "run_id": 7}', "its run_id is 7"),
        ('{"schema": 1, "run_id": "a", "status": "done"}', "its status is 'done'"),
        ('{"schema": 1, "run_id": "a", "status": ["failed"]}', "its status is"),
        ('{"schema": 1, "run_id": "a", "seconds": true}', "its seconds is True"),
        ('{"schema": 1, "run_id": "a", "metrics": {"mIoU": "high"}}', "its metrics is"),
        ('{"schema": 1, "run_id": "a", "metrics": [1]}', "its metrics is"),
        ('{"schema": 1, "run_id": "a", "baselines": [1]}', "its baselines is"),
        ('{"schema": 1, "run_id": "a", "git": "abc"}', "its git is 'abc'"),
        ('{"schema": 1, "run_id": "a", "resumed": 1.5}', "its resumed is 1.5"),
        ('{"schema": 1, "run_id": "a", "seconds": NaN}', "damaged .*NaN is not JSON"),
    ],
)
def test_a_foreign_record_is_refused_with_the_reason(tmp_path, text, message):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(UserError, match=message):
        Record.read(tmp_path / "record.json")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "record.json").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match="is damaged"):
        Record.read(tmp_path / "record.json")


def test_a_missing_record_is_refused(tmp_path):
    with pytest.raises(UserError, match="There is no record in"):
        Record.read(tmp_path / "record.json")
    (tmp_path / "record.json").mkdir()
    with pytest.raises(UserError, match="is a folder, where a record is needed"):
        Record.read(tmp_path / "record.json")
