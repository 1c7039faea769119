"""The page on four hundred runs: its manifests give each machine its own slice, by a command that composes."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir

from geocompose.actions.work import _part
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from tests.kit.places import CONF, ROOT

PAGE = (ROOT / "docs" / "four_hundred_runs.md").read_text()


def manifests() -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def typed(script: str, folder: Path, **variables: str) -> list[str]:
    """Return what a shell that runs `script` hands to Python."""
    python = folder / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    environment = {**os.environ, **variables, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def slice_of(arguments: list[str]) -> tuple[int, int]:
    """Return the slice that a command computes, after composing it."""
    assert arguments[0].endswith("/run.py")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", overrides=arguments[1:]), groups(CONF))
    assert config["action"]["_target_"] == "geocompose.actions.work.work"
    assert config["study"] == "floods"
    return _part(config["action"]["slice"])


def test_the_indexed_jobs_of_kubernetes_compute_each_slice_once(tmp_path: Path):
    job = next(each for each in manifests() if each.get("kind") == "Job")
    spec = job["spec"]
    assert (job["apiVersion"], spec["completionMode"]) == ("batch/v1", "Indexed")
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # which backoffLimitPerIndex and podFailurePolicy ask for
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert container["command"] == ["sh", "-c"]
    (script,) = container["args"]
    for index in (0, 2, spec["completions"] - 1):
        found = slice_of(typed(script, tmp_path, JOB_COMPLETION_INDEX=str(index)))
        assert found == (index + 1, spec["completions"])


@pytest.mark.parametrize("rank", [0, 3])
def test_the_machines_of_skypilot_compute_each_slice_once(tmp_path: Path, rank: int):
    task = next(each for each in manifests() if "num_nodes" in each)
    script = task["run"].replace("cd /study && ", "")
    arguments = typed(script, tmp_path, SKYPILOT_NODE_RANK=str(rank), SKYPILOT_NUM_NODES=str(task["num_nodes"]))
    assert slice_of(arguments) == (rank + 1, task["num_nodes"])
