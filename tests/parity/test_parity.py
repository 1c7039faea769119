"""The same arguments, names and numbers as TerraTorch 1.2.11, for every recorded case whose parts exist here."""

import json

import pytest
import torch
from safetensors.torch import load_file

from geocompose.factory import EncoderDecoderFactory
from tests.shared import PARITY, needs_parity

# Parts that later work brings; a case leaves this table when its parts are there.
NOT_YET = {
    "reg_upernet": "task regression",
    "reg_fcn": "task regression",
    "cls_identity": "task classification",
    "cls_mlp": "task classification",
    "cls_tokens_cls": "task classification",
    "cls_multi_temporal": "task classification",
    "seg_interp_pyramid_fpn_neck": "neck FeaturePyramidNetworkNeck",
    "seg_maxpool_pyramid": "neck MaxpoolToPyramidal",
    "seg_lora_qkv": "peft_config",
    "seg_aux_heads": "aux_decoders",
    "seg_vpt": "deep VPT",
    "seg_smp_segformer_timm": "decoder smp_Segformer",
}
CASES = json.loads((PARITY / "index.json").read_text()) if PARITY.is_dir() else {}


@needs_parity
def test_the_index_of_references_is_whole():
    assert len(CASES) == 26
    assert set(NOT_YET) < set(CASES)


@needs_parity
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_recorded_model_loads_strictly_and_gives_the_recorded_output(name):
    if name in NOT_YET:
        pytest.skip(f"{NOT_YET[name]} is not built yet")
    recorded = load_file(PARITY / f"{name}.safetensors")
    model = EncoderDecoderFactory().build_model(**CASES[name]["build_model"]).eval()
    weights = {key.removeprefix("model."): value for key, value in recorded.items() if key.startswith("model.")}
    model.load_state_dict(weights, strict=True)
    coordinates = {
        key.removeprefix("input."): value
        for key, value in recorded.items()
        if key.startswith("input.") and key != "input.image"
    }
    with torch.no_grad():
        output = model(recorded["input.image"], **coordinates).output
    assert list(output.shape) == CASES[name]["output_shape"]
    torch.testing.assert_close(output, recorded["output.output"], atol=1e-4, rtol=0)
