"""A run's model as an ONNX file: it runs where onnxruntime is, without torch and without this package."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geocompose.catalog.optional import imported, require
from geocompose.errors import FOREIGN_ERRORS, UserError, first_line
from geocompose.export.parity import PROGRAM, compared
from geocompose.export.program import description_of, inputs_of, output_name, program_of, reference_of
from geocompose.export.pt2 import exported_program
from geocompose.export.source import Source
from geocompose.export.tiles import Tiles, tiles_of

# Of protobuf, in which ONNX is written: https://protobuf.dev/programming-guides/proto-limits
_MOST_BYTES = 2**31 - 1


def write_onnx(source: Source, place: Path) -> Sequence[str]:
    """Write the run's best model to the file `place`, and return lines for the terminal.

    Any batch size; rows and columns are those of the run's tiles. Raw values go in and logits, or numbers in their
    unit, come out; see `geocompose.export.program.Program`. What they are stands in the file's metadata, a value in
    JSON for each key.

    Raises:
        UserError: onnx, onnxscript or onnxruntime is not installed, the model can't be written as ONNX, or what was
            made does not say the same.
    """
    require("export")
    program, adapters = program_of(source)
    size = sum(tensor.nbytes for tensor in program.state_dict().values())
    if size > _MOST_BYTES:
        raise UserError(
            f"The weights are {size / 1e9:.1f} GB, and an ONNX file holds 2 GB at most. Use "
            "action.format=pt2 or bundle."
        )
    tiles = tiles_of(source)
    content = _converted(exported_program(program, tiles), output_name(program.target), description_of(source))
    session = _session(content)

    def answer(some: Tiles) -> Tensor:
        given = {name: value.numpy() for name, value in inputs_of(some).items()}
        return torch.from_numpy(session.run(None, given)[0])

    parity = compared("ONNX file", lambda some: reference_of(source, some), answer, tiles, program.target, PROGRAM)
    place.write_bytes(content)
    return [adapters, parity.in_words()]


def _converted(program: torch.export.ExportedProgram, output: str, description: Mapping[str, Any]) -> bytes:
    """Return the ONNX file of a program, as bytes.

    Raises:
        UserError: an operation has no counterpart in ONNX.
    """
    helper = imported("export", "onnx.helper")
    try:
        with _silent():
            # The shapes are the program's; said again, their axes get names.
            shapes = {name: {0: "batch"} for name in _inputs(program)}
            made = torch.onnx.export(program, dynamo=True, output_names=[output], dynamic_shapes=shapes, verbose=False)
    except FOREIGN_ERRORS as error:
        raise UserError(
            f"The model can't be written as ONNX: {first_line(error)}. Use action.format=pt2 or bundle."
        ) from error
    assert made is not None
    file: Any = made.model_proto
    helper.set_model_props(file, {key: json.dumps(value) for key, value in description.items()})
    content: bytes = file.SerializeToString()
    return content


def _inputs(program: torch.export.ExportedProgram) -> list[str]:
    return list(program.graph_signature.user_inputs)


def _session(content: bytes) -> Any:
    """Return what runs an ONNX file on the CPU.

    Raises:
        UserError: onnxruntime can't run it.
    """
    runtime = imported("export", "onnxruntime")
    try:
        return runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors have no other common type
        raise UserError(
            f"onnxruntime can't run what was made of the model: {first_line(error)}. Use action.format=pt2 or bundle."
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the exporter's warnings about its own code from users, who can do nothing about them."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
