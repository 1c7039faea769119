"""Jobs for engines, which take no time and need no torch: what a cell's process may do; and a sweep of them.

python -m tests.kit.jobs FOLDER WORKERS ACT NAME ...    compute jobs which do ACT, of those that take a mark
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil

from geocompose.errors import UserError
from geocompose.launchers import fork_server
from geocompose.launchers.engine import Ended, Job, Started
from geocompose.launchers.local import LocalEngine
from geocompose.launchers.stopping import Stopped
from geocompose.runs.lock import RunHeldError


def job(folder: Path, name: str, act, *arguments) -> Job:
    return Job(name, name, partial(act, *arguments), folder / "logs" / f"{name}.log")


class Told(list):
    """What an engine tells, in its order."""

    @property
    def ends(self) -> dict[str, Ended]:
        return {each.job.run_id: each for each in self if isinstance(each, Ended)}

    @property
    def starts(self) -> list[str]:
        return [each.job.run_id for each in self if isinstance(each, Started)]


def write(path: Path, text: str = "done") -> None:
    path.write_text(text)


def append(path: Path, text: str) -> None:
    with open(path, "a") as file:
        file.write(f"{text}\n")


def say(text: str) -> None:
    print(text)
    os.system(f"echo {text} from a program")


def crash() -> None:
    ctypes.string_at(0)


def leave_at_once(code: int) -> None:
    os._exit(code)


def leave(code: object) -> None:
    sys.exit(code)


def refuse() -> None:
    raise UserError("decoder must be one that there is; got 'unett'.")


def break_down() -> None:
    raise RuntimeError("Something broke.\nA second line.")


def be_held() -> None:
    raise RunHeldError("outputs/a is being computed by process 7 on node3.")


def kill_itself(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def sleep(seconds: float, mark: Path | None = None) -> None:
    """Write the process's number into `mark`, and sleep."""
    if mark is not None:
        mark.with_suffix(".part").write_text(str(os.getpid()))
        mark.with_suffix(".part").rename(mark)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.05)


def sleep_stopped(seconds: float) -> None:
    """Stop the own process as SIGSTOP does, which then hears nothing but SIGKILL."""
    os.kill(os.getpid(), signal.SIGSTOP)


def have_a_child_and_die(mark: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    mark.write_text(str(child.pid))
    os.kill(os.getpid(), signal.SIGKILL)


def kill_the_server() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def kill_the_server_once(mark: Path) -> None:
    if not mark.exists():
        mark.touch()
        kill_the_server()


def be_preempted_once(mark: Path) -> None:
    """Have the process that computes the pack told that its time is over, as Slurm does; go on in a second life."""
    if mark.with_suffix(".saved").exists():
        mark.write_text("went on")
        return
    server = psutil.Process().parent()
    assert server is not None
    save_when_stopped(mark, lambda: os.kill(server.ppid(), signal.SIGUSR2))


def kill_the_pack() -> None:
    """Kill the process that computes the pack, as a node that breaks down does."""
    server = psutil.Process().parent()
    assert server is not None
    os.kill(server.ppid(), signal.SIGKILL)
    time.sleep(60)


def kill_the_pack_once(mark: Path) -> None:
    if not mark.exists():
        mark.touch()
        kill_the_pack()


def leave_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(60,)).start()


def save_when_stopped(mark: Path, before=lambda: None) -> None:
    try:
        before()
        sleep(60, mark)
    except KeyboardInterrupt:
        time.sleep(0.3)
        mark.with_suffix(".saved").touch()
        raise


def never_save(mark: Path) -> None:
    while True:
        try:
            sleep(60, mark)
        except KeyboardInterrupt:
            print("asked")


def hold_the_interpreter(mark: Path) -> None:
    """Let no other thread of the process run."""
    sleep(0, mark)
    ctypes.PyDLL(None).sleep(60)


def have_a_child(mark: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]):
        sleep(60, mark)


def hold_memory(megabytes: int) -> None:
    held = bytearray(megabytes * 2**20)
    for place in range(0, len(held), 4096):
        held[place] = 1
    time.sleep(60)


def have_a_child_hold_memory(megabytes: int) -> None:
    code = f"import time; x = bytearray({megabytes} * 2**20)\nfor i in range(0, len(x), 4096): x[i] = 1\ntime.sleep(60)"
    subprocess.run([sys.executable, "-c", code], check=True)


def tell_surroundings(path: Path, seconds: float = 0.0) -> None:
    """Write what a job sees of the process that it runs in, and take that long."""
    seen = {
        "omp": os.environ.get("OMP_NUM_THREADS"),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "own": os.environ.get("OF_THE_TEST"),
        "openblas": os.environ.get("OPENBLAS_NUM_THREADS"),
        "cwd": os.getcwd(),
        "terminal": sys.stdout.isatty(),
    }
    path.write_text(json.dumps(seen))
    time.sleep(seconds)


def tell_libraries(path: Path) -> None:
    """Write in which state the libraries are that the fork server has loaded, and compute with them."""
    began = sorted(sys.modules)
    import torch

    server = os.getppid()
    seen = {
        "loaded": [name for name in ("lightning", "timm", "peft", "sklearn.linear_model") if name in began],
        "server_threads": len(os.listdir(f"/proc/{server}/task")),
        "cuda": torch.cuda.is_initialized(),
        "spoilt_cuda": torch.cuda._is_in_bad_fork(),
        "torch_threads": torch.get_num_threads(),
    }
    large = torch.ones(800, 800)
    seen["sum"] = float((large @ large).sum())  # by threads of its own
    path.write_text(json.dumps(seen))


@contextmanager
def light_server() -> Iterator[None]:
    """Start processes in the block by a fork server without libraries, which is there at once."""
    before = fork_server.PRELOADED
    end_server()
    fork_server.PRELOADED = before[:1]
    try:
        yield
    finally:
        fork_server.PRELOADED = before
        end_server()


def servers(pid: int | None = None) -> list[psutil.Process]:
    """Return the fork server of a process, by default of this one."""
    return [each for each in _living(pid) if any("multiprocessing.forkserver" in part for part in each.cmdline())]


def descendants() -> list[int]:
    """Return the numbers of the processes below this one."""
    return [each.pid for each in psutil.Process().children(recursive=True) if fork_server.is_alive(each.pid)]


def server_family() -> list[int]:
    """Return the numbers of what multiprocessing keeps beside the cells: its server and its tracker of resources."""
    return [each.pid for each in _living() if any("multiprocessing." in part for part in each.cmdline())]


def _living(pid: int | None = None) -> list[psutil.Process]:
    return [each for each in psutil.Process(pid).children() if fork_server.is_alive(each.pid)]


def end_server() -> None:
    for server in servers():
        server.kill()
        wait_until(lambda server=server: not fork_server.is_alive(server.pid))


def wait_until(true, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.01)


def main(folder: str, workers: str, act: str, *names: str) -> None:
    fork_server.PRELOADED = fork_server.PRELOADED[:1]
    place = Path(folder)
    jobs = [job(place, name, globals()[act], place / f"{name}.pid") for name in names]

    def told(news: Started | Ended) -> None:
        if isinstance(news, Ended):
            print(news.job.run_id, news.how, flush=True)

    try:
        LocalEngine(workers=int(workers)).compute(jobs, told)
    except Stopped as stopped:
        print("stopped by", stopped, flush=True)
        sys.exit(128 + stopped.signal)


if __name__ == "__main__":
    main(*sys.argv[1:])
