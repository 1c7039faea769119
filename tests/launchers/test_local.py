"""launcher=local: a process per job, whatever a job does to its process, and what the sweep is told of it."""

import os
import signal
import time

import pytest

from geocompose.errors import UserError
from geocompose.launchers import watched
from geocompose.launchers.local import LocalEngine
from tests.kit import jobs as kit
from tests.kit.jobs import Told, job


@pytest.fixture(scope="module", autouse=True)
def light_server():
    with kit.light_server():
        yield


def compute(*jobs, **options) -> Told:
    told = Told()
    LocalEngine(**{"workers": 2, **options}).compute(jobs, told.append)
    return told


@pytest.mark.parametrize(
    ("act", "arguments", "how", "reason", "number"),
    [
        (kit.say, ("hello",), "returned", "", None),
        (kit.refuse, (), "raised", "decoder must be one that there is; got 'unett'.", None),
        (kit.break_down, (), "raised", "RuntimeError: Something broke.", None),
        (kit.be_held, (), "held", "outputs/a is being computed by process 7 on node3.", None),
        (kit.leave, (3,), "exited", "SystemExit 3", None),
        (kit.leave, (0,), "exited", "SystemExit 0", None),
        (kit.leave_at_once, (0,), "exited", "exit code 0", None),
        (kit.leave_at_once, (255,), "exited", "exit code 255", None),  # multiprocessing's own for a lost fork server
        (kit.crash, (), "killed", "SIGSEGV", signal.SIGSEGV),
        (kit.kill_itself, (signal.SIGKILL,), "killed", "memory ran out", signal.SIGKILL),
        (kit.kill_itself, (signal.SIGTERM,), "killed", "SIGTERM", signal.SIGTERM),
        (kit.kill_itself, (signal.SIGHUP,), "killed", "SIGHUP", signal.SIGHUP),
        (kit.kill_itself, (signal.SIGINT,), "killed", "SIGINT", signal.SIGINT),
    ],
)
def test_whatever_a_job_does_to_its_process_costs_that_job_alone(act, arguments, how, reason, number, tmp_path):
    names = ["before", "it", "after"]
    others = [job(tmp_path, name, kit.write, tmp_path / name) for name in (names[0], names[2])]
    told = compute(others[0], job(tmp_path, "it", act, *arguments), others[1])
    assert sorted(told.starts) == sorted(told.ends) == sorted(names)
    assert told.ends["before"].how == told.ends["after"].how == "returned"
    end = told.ends["it"]
    assert (end.how, end.signal) == (how, number)
    assert reason in end.reason
    assert "\n" not in end.reason
    assert 0 < end.seconds < 20


def test_all_that_a_job_writes_is_in_its_own_log_with_the_place_of_a_crash(tmp_path, capfd):
    hello, crash, broken = (
        job(tmp_path, "hello", kit.say, "hello"),
        job(tmp_path, "crash", kit.crash),
        job(tmp_path, "broken", kit.break_down),
    )
    compute(hello, crash, broken)
    lines = hello.log.read_text().splitlines()
    assert lines[1:] == ["hello", "hello from a program"]
    assert lines[0].startswith("-- 20")
    assert "in crash" in crash.log.read_text()
    assert "in break_down" in broken.log.read_text()
    compute(hello)
    assert hello.log.read_text().splitlines()[4:] == lines[1:], "a further attempt is appended"
    assert capfd.readouterr() == ("", "")


def test_with_one_worker_the_terminal_shows_what_the_job_writes_now(tmp_path, capfd):
    hello = job(tmp_path, "hello", kit.say, "hällo")
    hello.log.parent.mkdir()
    hello.log.write_text("of an earlier attempt\n")
    compute(hello, workers=1)
    shown = capfd.readouterr().out
    assert shown == hello.log.read_text().removeprefix("of an earlier attempt\n")
    assert "hällo from a program" in shown


def test_fifty_jobs_on_two_workers_are_each_computed_once_and_two_at_a_time(tmp_path):
    jobs = [job(tmp_path, f"{number:02}", kit.append, tmp_path / "order", f"{number:02}") for number in range(50)]
    told = compute(*jobs)
    assert sorted((tmp_path / "order").read_text().split()) == [each.run_id for each in jobs]
    assert told.starts == [each.run_id for each in jobs]
    assert {end.how for end in told.ends.values()} == {"returned"}
    running = most = 0
    for each in told:
        running += 1 if isinstance(each, kit.Started) else -1
        most = max(most, running)
    assert (running, most) == (0, 2)


def test_a_job_that_takes_too_long_is_ended_and_its_log_says_where_it_was(tmp_path):
    slow = job(tmp_path, "slow", kit.sleep, 60)
    deaf = job(tmp_path, "deaf", kit.sleep_stopped, 60)
    told = compute(slow, deaf, job(tmp_path, "quick", kit.write, tmp_path / "quick"), timeout_minutes=1 / 60)
    assert told.ends["slow"].how == told.ends["deaf"].how == "timeout"
    assert "launcher.timeout_minutes=0.0166667" in told.ends["slow"].reason
    assert "in sleep" in slow.log.read_text()
    assert told.ends["quick"].how == "returned"


@pytest.mark.parametrize("act", [kit.hold_memory, kit.have_a_child_hold_memory])
def test_a_job_that_holds_too_much_memory_is_killed_with_the_processes_that_it_started(act, tmp_path):
    before = set(kit.descendants())
    told = compute(job(tmp_path, "large", act, 600), job(tmp_path, "small", kit.sleep, 2), memory_gb=0.5)
    assert told.ends["large"].how == "memory"
    assert "launcher.memory_gb=0.5" in told.ends["large"].reason
    assert told.ends["small"].how == "returned"
    kit.wait_until(lambda: set(kit.descendants()) <= before | set(kit.server_family()))


def test_a_job_that_has_returned_and_does_not_end_its_process_is_done_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(watched, "_ENDING_S", 0.5)
    told = compute(job(tmp_path, "it", kit.leave_a_thread), job(tmp_path, "other", kit.sleep, 0.1))
    assert told.ends["it"].how == "returned"
    assert told.ends["it"].seconds < 20


def test_a_stopped_worker_goes_on_when_it_is_continued(tmp_path):
    mark = tmp_path / "pid"

    def told(news) -> None:
        heard.append(news)
        if len(heard) == 2:
            kit.wait_until(mark.exists)
            os.kill(int(mark.read_text()), signal.SIGSTOP)
        if isinstance(news, kit.Ended) and news.job.run_id == "other":
            time.sleep(0.5)
            os.kill(int(mark.read_text()), signal.SIGCONT)

    heard = Told()
    jobs = [job(tmp_path, "stopped", kit.sleep, 1.0, mark), job(tmp_path, "other", kit.sleep, 0.1)]
    LocalEngine(workers=2).compute(jobs, told)
    assert {name: end.how for name, end in heard.ends.items()} == {"stopped": "returned", "other": "returned"}
    assert list(heard.ends) == ["other", "stopped"]


def test_a_job_that_leaves_a_process_behind_by_dying_leaves_none(tmp_path):
    child = tmp_path / "child"
    told = compute(job(tmp_path, "parent", kit.have_a_child_and_die, child))
    assert told.ends["parent"].how == "killed"
    kit.wait_until(lambda: not kit.fork_server.is_alive(int(child.read_text())))


def test_jobs_go_on_by_a_new_fork_server_when_theirs_is_killed(tmp_path):
    killer = job(tmp_path, "killer", kit.kill_the_server_once, tmp_path / "killed")
    other = job(tmp_path, "other", kit.sleep, 1.0)
    told = compute(other, killer, job(tmp_path, "after", kit.write, tmp_path / "after"))
    assert {name: end.how for name, end in told.ends.items()} == dict.fromkeys(["killer", "other", "after"], "returned")
    assert sorted(told.starts) == ["after", "killer", "killer", "other", "other"]


def test_a_job_whose_fork_server_is_killed_again_is_over(tmp_path):
    jobs = [job(tmp_path, "killer", kit.kill_the_server), job(tmp_path, "after", kit.write, tmp_path / "after")]
    told = compute(*jobs, workers=1)
    assert told.starts.count("killer") == 2
    assert told.ends["killer"].how == "killed"
    assert told.ends["after"].how == "returned"


def test_a_fork_server_that_is_still_dying_has_been_killed(tmp_path, monkeypatch):
    is_alive, asked = kit.fork_server.is_alive, []

    def seen_late(pid: int) -> bool:
        asked.append(pid)
        return len(asked) < 50 or is_alive(pid)

    monkeypatch.setattr(kit.fork_server, "is_alive", seen_late)
    told = compute(job(tmp_path, "killer", kit.kill_the_server), workers=1)
    assert len(asked) >= 50
    assert told.ends["killer"].how == "killed"


def test_after_the_hours_of_the_budget_no_more_jobs_are_begun(tmp_path, caplog):
    jobs = [job(tmp_path, name, kit.sleep, 1.0) for name in "abcd"]
    told = compute(*jobs, hours=0.5 / 3600)
    assert told.starts == ["a", "b"]
    assert {end.how for end in told.ends.values()} == {"returned"}
    assert "launcher.hours=0.000138889 is over: 2 cells were not begun" in caplog.text


def test_the_budget_does_not_depend_on_the_clock_that_a_person_sets(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    told = compute(*(job(tmp_path, name, kit.sleep, 0.1) for name in "abcd"), hours=1.0, timeout_minutes=1.0)
    assert len(told.ends) == 4


def test_what_the_caller_does_with_the_news_may_fail_and_no_job_stays_behind(tmp_path):
    mark = tmp_path / "pid"

    def told(news) -> None:
        if news.job.run_id == "other":
            kit.wait_until(mark.exists)
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk is full"):
        LocalEngine(workers=2).compute(
            [job(tmp_path, "sleeping", kit.sleep, 60, mark), job(tmp_path, "other", kit.sleep, 60)], told
        )
    assert not kit.fork_server.is_alive(int(mark.read_text()))


def test_a_job_sees_the_folder_and_the_variables_of_the_sweep_and_a_fair_share_of_its_cores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OF_THE_TEST", "seen")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("geocompose.launchers.shares.num_cores", lambda: 7)
    compute(job(tmp_path, "it", kit.tell_surroundings, tmp_path / "it.json"))
    seen = kit.json.loads((tmp_path / "it.json").read_text())
    assert (seen["cwd"], seen["own"], seen["omp"]) == (str(tmp_path), "seen", "3")
    assert not seen["terminal"]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    compute(job(tmp_path, "it", kit.tell_surroundings, tmp_path / "it.json"))
    assert kit.json.loads((tmp_path / "it.json").read_text())["omp"] == "2"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"workers": 0}, "launcher.workers must be 1 or more; got 0"),
        ({"timeout_minutes": 0}, "launcher.timeout_minutes must be a number above 0, or null"),
        ({"memory_gb": -1.0}, "launcher.memory_gb must be"),
        ({"hours": float("nan")}, "launcher.hours must be"),
    ],
)
def test_numbers_that_can_not_be_are_refused(options, told):
    with pytest.raises(UserError, match=told):
        LocalEngine(**options)


def test_a_log_that_can_not_be_written_stops_the_sweep_with_its_name(tmp_path):
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(UserError, match=r"logs.*a file stands where a folder is needed"):
        compute(job(tmp_path, "it", kit.say, "hello"))
