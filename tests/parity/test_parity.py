"""The same arguments, names and numbers as TerraTorch 1.2.11, for every recorded case."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from geocompose.factory import EncoderDecoderFactory
from geocompose.models import AuxiliaryHead
from tests.kit.shared import PARITY, needs_parity

CASES = json.loads((PARITY / "index.json").read_text()) if PARITY.is_dir() else {}


@needs_parity
def test_the_index_of_references_is_whole():
    assert len(CASES) == 26


@needs_parity
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_recorded_model_loads_strictly_and_gives_the_recorded_output(name):
    recorded = load_file(PARITY / f"{name}.safetensors")
    arguments = dict(CASES[name]["build_model"])
    if "aux_decoders" in arguments:
        arguments["aux_decoders"] = [AuxiliaryHead(*row) for row in arguments["aux_decoders"]]
    model = EncoderDecoderFactory().build_model(**arguments).eval()
    model.load_state_dict(of("model", recorded), strict=True)
    inputs = of("input", recorded)
    with torch.no_grad():
        returned = model(inputs.pop("image"), **inputs)
    outputs = of("output", recorded)
    assert returned.output.shape == tuple(CASES[name]["output_shape"])
    torch.testing.assert_close(returned.output, outputs.pop("output"), atol=1e-4, rtol=0)
    auxiliary = {f"aux.{key}": value for key, value in returned.auxiliary_heads.items()}
    assert set(auxiliary) == set(outputs)
    for key, value in outputs.items():
        torch.testing.assert_close(auxiliary[key], value, atol=1e-4, rtol=0)


def of(prefix: str, recorded: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what was recorded under `prefix.`, without it."""
    start = f"{prefix}."
    return {key.removeprefix(start): value for key, value in recorded.items() if key.startswith(start)}
