"""The masked autoencoder: the same names and numbers as TerraTorch 1.2.11's, recorded."""

import pytest
import torch
from safetensors.torch import load_file

from geocompose.registry import FULL_MODEL_REGISTRY
from tests.kit.shared import PARITY, needs_parity


@needs_parity
@pytest.mark.parametrize("name", ["prithvi_eo_v2_300_tl_mae", "terratorch_prithvi_eo_v2_300_tl_mae"])
def test_the_recorded_masked_autoencoder_loads_strictly_and_gives_the_recorded_loss_prediction_and_mask(name):
    recorded = load_file(PARITY / "mae.safetensors")
    model = FULL_MODEL_REGISTRY.build(
        name,
        embed_dim=64,
        depth=3,
        num_heads=4,
        img_size=64,
        num_frames=2,
        decoder_embed_dim=32,
        decoder_depth=2,
        decoder_num_heads=4,
    ).eval()
    weights = {key.removeprefix("model."): value for key, value in recorded.items() if key.startswith("model.")}
    model.load_state_dict(weights, strict=True)
    given = {key.removeprefix("input."): value for key, value in recorded.items() if key.startswith("input.")}
    with torch.no_grad():
        losses, prediction, mask = model(**given)
    torch.testing.assert_close(losses["loss"], recorded["output.loss"].squeeze(), atol=1e-4, rtol=0)
    torch.testing.assert_close(prediction, recorded["output.pred"], atol=1e-4, rtol=0)
    assert torch.equal(mask, recorded["output.mask"])
