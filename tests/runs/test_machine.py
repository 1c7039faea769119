"""What of a machine a process may use, as the system and a container say it."""

import pytest

from geocompose.runs import machine


@pytest.mark.parametrize(("limit", "cores"), [("200000 100000", 2), ("max 100000", 8), ("50000 100000", 1), ("", 8)])
def test_a_containers_limit_counts_as_cores(limit, cores, monkeypatch, tmp_path):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: range(8))
    monkeypatch.setattr(machine, "CPU_LIMIT", tmp_path / "cpu.max")
    assert machine.num_cores() == 8
    machine.CPU_LIMIT.write_text(limit)
    assert machine.num_cores() == cores


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [("3000000", "1000000", 2_000_000), ("max", "5", 8_192_000), ("1", "5", 0), ("", "", 8_192_000)],
)
def test_free_memory_is_the_systems_or_what_the_container_leaves(limit, used, free, monkeypatch, tmp_path):
    files = {"MEMORY": "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n", "MEMORY_LIMIT": limit, "MEMORY_USED": used}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(machine, name, tmp_path / name)
    assert machine.free_memory() == free


def test_free_memory_is_unknown_where_no_system_says_it(monkeypatch, tmp_path):
    for name in ("MEMORY", "MEMORY_LIMIT", "MEMORY_USED"):
        monkeypatch.setattr(machine, name, tmp_path / name)
    assert machine.free_memory() is None


def test_a_process_shares_its_machine_with_the_cells_that_its_launcher_names(monkeypatch):
    monkeypatch.delenv(machine.SHARED_BY, raising=False)
    assert machine.num_cells() == 1
    monkeypatch.setenv(machine.SHARED_BY, "6")
    assert machine.num_cells() == 6
