"""A run's model as a program of torch.export (.pt2): it runs where torch is, without this package."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geocompose.errors import FOREIGN_ERRORS, UserError, first_line
from geocompose.export.parity import PROGRAM, compared
from geocompose.export.program import Program, description_of, inputs_of, program_of, reference_of
from geocompose.export.source import Source
from geocompose.export.tiles import Tiles, tiles_of

DESCRIPTION = "geocompose.json"  # the extra file that says what goes in and comes out


def write_pt2(source: Source, place: Path) -> Sequence[str]:
    """Write the run's best model to the file `place`, and return lines for the terminal.

    Any batch size; rows and columns are those of the run's tiles. Raw values go in and logits, or numbers in their
    unit, come out; see `geocompose.export.program.Program`.

    Raises:
        UserError: torch.export can't follow the model, or what it made does not say the same.
    """
    program, adapters = program_of(source)
    tiles = tiles_of(source)
    made = exported_program(program, tiles)
    whole = io.BytesIO()
    torch.export.save(made, whole, extra_files={DESCRIPTION: json.dumps(description_of(source))})
    read_back = torch.export.load(io.BytesIO(whole.getbuffer())).module()

    def answer(some: Tiles) -> Tensor:
        with torch.inference_mode():
            output: Tensor = read_back(**inputs_of(some))
        return output

    parity = compared(
        "program of torch.export", lambda some: reference_of(source, some), answer, tiles, program.target, PROGRAM
    )
    place.write_bytes(whole.getbuffer())
    return [adapters, parity.in_words()]


def exported_program(program: Program, tiles: Tiles) -> torch.export.ExportedProgram:
    """Return a program as torch.export follows it, for batches of any size.

    Raises:
        UserError: it can't; says where it stopped.
    """
    # Two are the smallest batch that is not taken for a constant.
    given = inputs_of(tiles.first(2))
    try:
        with torch.no_grad():
            return torch.export.export(program, (), given, dynamic_shapes=dynamic_shapes(given))
    except FOREIGN_ERRORS as error:
        raise UserError(
            f"torch.export can't follow {program.in_words}: {first_line(error)}. Use action.format=bundle."
        ) from error


def dynamic_shapes(given: dict[str, Tensor]) -> dict[str, Any]:
    """Return what of the inputs is of any size: the batch."""
    batch = torch.export.Dim("batch", min=1)
    return {name: {0: batch} for name in given}
