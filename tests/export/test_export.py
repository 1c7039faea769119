"""Models go through torch.export with a batch of any size, and what comes out computes the same."""

from typing import Any

import pytest
import torch

from geocompose.factory import EncoderDecoderFactory
from geocompose.models import AuxiliaryHead, ModelOutput

PRITHVI = {"backbone_embed_dim": 48, "backbone_depth": 4, "backbone_num_heads": 4, "backbone_img_size": 64}
MODELS: dict[str, dict[str, Any]] = {
    "segmentation": {"task": "segmentation", "num_classes": 3, "decoder": "UperNetDecoder", "decoder_channels": 8},
    "regression": {"task": "regression", "decoder": "FCNDecoder", "decoder_channels": 8},
    "classification": {"task": "classification", "num_classes": 3, "decoder": "IdentityDecoder"},
    "auxiliary": {
        "task": "segmentation",
        "num_classes": 3,
        "decoder": "UNetDecoder",
        "aux_decoders": [AuxiliaryHead("a", "FCNDecoder", {"decoder_channels": 8})],
    },
}


@pytest.mark.parametrize("size", [(64, 64), (50, 37)])
@pytest.mark.parametrize("name", MODELS)
def test_an_exported_model_takes_any_batch_and_gives_the_models_output(name, size):
    torch.manual_seed(0)
    model = EncoderDecoderFactory((64, 64)).build_model(
        backbone="prithvi_eo_v2_300", necks="auto", **PRITHVI, **MODELS[name]
    )
    model.eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (torch.randn(2, 6, *size),), dynamic_shapes={"image": {0: batch}}).module()
    image = torch.randn(3, 6, *size)
    expected, returned = model(image), exported(image)
    assert isinstance(returned, ModelOutput)
    torch.testing.assert_close(returned.output, expected.output, atol=1e-5, rtol=1e-5)
    assert set(returned.auxiliary_heads) == set(expected.auxiliary_heads)
    for key, value in expected.auxiliary_heads.items():
        torch.testing.assert_close(returned.auxiliary_heads[key], value, atol=1e-5, rtol=1e-5)
