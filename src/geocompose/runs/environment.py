"""On what a run was computed: versions, the code's commit, hardware, memory."""

import contextlib
import logging
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# The dependencies that pyproject.toml declares (a test compares the two), in the order in which records show them.
PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "timm",
    "segmentation-models-pytorch",
    "peft",
    "transformers",
    "hydra-core",
    "omegaconf",
    "pydantic",
    "safetensors",
    "huggingface_hub",
    "rasterio",
    "numpy",
    "scikit-learn",
    "scipy",
    "shapely",
    "matplotlib",
    "jinja2",
    "rich",
    "filelock",
    "psutil",
    "threadpoolctl",
    "pyyaml",
    "tensorboard",
)
# Of optional sources: recorded where they are installed.
OPTIONAL_PACKAGES = (
    "torchgeo",
    "mmsegmentation",
    "mmengine",
    "mmcv",
    "mmcv-lite",
    "terratorch",
    "submitit",
    "optuna",
    "ray",
    "mlflow-skinny",
    "mlflow",
    "wandb",
    "onnx",
    "onnxscript",
    "onnxruntime",
)
_GIT_TIMEOUT_S = 20


def versions() -> dict[str, str | None]:
    """Return versions of Python, geocompose, its dependencies (None: not installed) and installed optional ones."""
    from importlib import metadata  # slow, and most readers of runs don't need it

    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("geocompose", *PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    for name in OPTIONAL_PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def utc_now() -> str:
    """Return the time as records show it: UTC, ISO 8601, in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def source_folder() -> Path:
    """Return the folder of the checkout that this package is imported from; for an installed copy a folder above it."""
    return Path(__file__).resolve().parents[3]


def git_state(path: Path) -> dict[str, Any] | None:
    """Return {"commit": ..., "dirty": ...} of the repository that has `path` under version control, else None.

    dirty: a tracked file below `path` differs from the commit, or there is a new file that git does not ignore.
    """
    # A folder inside another project's repository, such as a virtual environment, is not under its control.
    if not _git(path, "ls-files", "--cached", "--", "."):
        return None
    lines = (_git(path, "status", "--porcelain=v2", "--branch", "--", ".") or "").splitlines()
    told = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
    commit = told.get("branch.oid", "(initial)")  # which is git's word for a branch without a commit
    return None if commit == "(initial)" else {"commit": commit, "dirty": len(lines) > len(told)}


def git_diff(path: Path) -> str:
    """Return the patch from the commit to the files below `path`, then a comment line per new file; "" where clean.

    The contents of new files are not in it, they may be of any size. "" also where there is no repository.
    """
    state = git_state(path)
    if state is None or not state["dirty"]:
        return ""
    patch = _git(path, "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--", ".") or ""
    new = _git(path, "ls-files", "--others", "--exclude-standard", "--", ".") or ""
    return patch + "".join(f"# new file: {name}\n" for name in new.splitlines())


def hardware() -> dict[str, Any]:
    """Return cpu (model), cores (that this process may use), memory_gb and system; nothing that names the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "memory_gb": round(memory_bytes / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def process() -> dict[str, Any]:
    """Return this process's host and pid, and the time (UTC) at which it is alive."""
    return {"host": platform.node(), "pid": os.getpid(), "alive": utc_now()}


def peak_memory_mb() -> float:
    """Return the most memory (MiB) that this process has held so far, its children not counted."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux a child starts with its parent's peak there, and a small run in a sweep looks large.
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def reset_peak_memory() -> None:
    """Begin to count `peak_memory_mb` anew where the system can (Linux): a sweep's runs share a process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(path: Path, *arguments: str) -> str | None:
    """Return what git prints, or None where git, the repository or the answer is missing."""
    # A hook's or a rebase's variables would name another repository; without optional locks two runs don't collide.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", "-C", str(path), *arguments]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=_GIT_TIMEOUT_S, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or b""
        log.debug("%s gives no answer: %s %s", " ".join(command), error, detail.decode("utf-8", "replace").strip())
        return None
    return done.stdout.decode("utf-8", "surrogateescape")
