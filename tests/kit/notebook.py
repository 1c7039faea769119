"""Notebooks of docs/, executed from top to bottom as a reader does, without Jupyter.

`python -m tests.kit.notebook docs/notebook.ipynb` executes one in an empty folder and stores what cells print and draw.
"""

import base64
import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib


@dataclass
class Output:
    """What a cell has printed, and the pictures (PNG) that it has drawn."""

    text: str
    pictures: list[bytes]


def execute(notebook: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Output]]:
    """Execute the code cells of a notebook in the working directory; yield each with its output."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            for shell, text in _pieces("".join(cell["source"])):
                if shell:
                    print(_shown(text), end="")
                else:
                    exec(compile(text, "notebook", "exec"), namespace)
        pictures = []
        for number in pyplot.get_fignums():
            picture = io.BytesIO()
            pyplot.figure(number).savefig(picture, format="png", dpi=80)
            pictures.append(picture.getvalue())
        pyplot.close("all")
        yield cell, Output(printed.getvalue(), pictures)


def _pieces(source: str) -> Iterator[tuple[bool, str]]:
    """Yield runs of Python and single shell lines (`!...`), with which of the two each is."""
    for shell, lines in re.findall(r"^!(.*)$|((?:^(?!!).*\n?)+)", source, re.MULTILINE):
        if shell or lines.strip():
            yield bool(shell), shell or lines


def _shown(command: str) -> str:
    program, *arguments = shlex.split(command)
    assert program == "geocompose", command
    words = [sys.executable, "-m", "geocompose", *arguments]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert done.returncode == 0, done.stdout
    return done.stdout.replace("python -m geocompose", program)  # as the reader has started it


def _store(path: Path) -> None:
    notebook = json.loads(path.read_text())
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for number, (cell, output) in enumerate(execute(notebook), 1):
            cell["execution_count"] = number
            texts = [{"name": "stdout", "output_type": "stream", "text": output.text.splitlines(keepends=True)}]
            pictures = [
                {"output_type": "display_data", "metadata": {}, "data": {"image/png": base64.b64encode(one).decode()}}
                for one in output.pictures
            ]
            cell["outputs"] = [*(texts if output.text else []), *pictures]
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    _store(Path(sys.argv[1]).resolve())
