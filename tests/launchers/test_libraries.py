"""The fork server has the libraries loaded and has run nothing of them, and its cells compute with them."""

import json

from geocompose.launchers.local import LocalEngine
from tests.kit import jobs as kit
from tests.kit.jobs import Told, job


def test_the_server_has_loaded_the_libraries_and_run_no_operation_of_them(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    kit.end_server()
    told = Told()
    jobs = [job(tmp_path, name, kit.tell_libraries, tmp_path / f"{name}.json") for name in "ab"]
    LocalEngine(workers=2).compute(jobs, told.append)
    assert [end.how for end in told.ends.values()] == ["returned", "returned"]
    for each in jobs:
        seen = json.loads((tmp_path / f"{each.run_id}.json").read_text())
        assert seen["loaded"] == ["lightning", "timm", "peft", "sklearn.linear_model"]
        assert seen["server_threads"] == 1
        assert (seen["cuda"], seen["spoilt_cuda"]) == (False, False)
        assert (seen["torch_threads"], seen["sum"]) == (2, 800.0**3)
        assert told.ends[each.run_id].seconds < 5, "the libraries were loaded again"
