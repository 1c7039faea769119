"""Necks that are settled by trying: a backbone without class token, as TerraMind's, under necks that take one off."""

from dataclasses import replace

import pytest
import torch

from geocompose.backbones.prithvi.vit import PrithviViT
from geocompose.errors import UserError
from tests.kit.made_runs import trained
from tests.kit.terratorch_runs import a_checkpoint, call, composed, conf, only_run, written
from tests.kit.terratorch_trees import HLS, of_segmentation

__all__ = ["conf"]

PRITHVI = {
    "backbone": "prithvi_eo_tiny",
    "backbone_bands": HLS,
    "backbone_img_size": 32,
    "backbone_depth": 4,
    "decoder": "UperNetDecoder",
    "decoder_channels": 8,
}
RESHAPED = [{"name": "ReshapeTokensToImage"}, {"name": "SelectIndices", "indices": [0, 1, 2, 3]}]


@pytest.fixture
def without_class_token(monkeypatch):
    """TerraTorch's ReshapeTokensToImage tries again with remove_cls_token=False where the first attempt has no grid."""
    whole, specs = PrithviViT.forward, PrithviViT.feature_specs.fget
    monkeypatch.setattr(PrithviViT, "forward", lambda self, *a, **k: [x[:, 1:] for x in whole(self, *a, **k)])
    without = property(lambda self: [replace(spec, num_prefix_tokens=0) for spec in specs(self)])
    monkeypatch.setattr(PrithviViT, "feature_specs", without)


def test_a_backbone_without_class_token_keeps_all_tokens_as_in_terratorchs_second_attempt(
    conf, capsys, without_class_token
):
    for necks in ([*RESHAPED, {"name": "LearnedInterpolateToPyramidal"}], RESHAPED):
        call(conf, config=written(of_segmentation({**PRITHVI, "necks": necks})), overwrite=True)
        told = " ".join(capsys.readouterr().out.split())
        assert "ReshapeTokensToImage gets remove_cls_token: false" in told
        assert ("LearnedInterpolateToPyramidal is added" in told) is (necks is RESHAPED)
        config = composed(conf, "experiment=imported/flood", "data.root=.")
        assert config["neck"]["necks"][0] == {"name": "ReshapeTokensToImage", "remove_cls_token": False}


@pytest.mark.usefixtures("without_class_token")
def test_a_checkpoint_alone_is_settled_so_too(conf):
    pyramid = {"name": "LearnedInterpolateToPyramidal"}
    kept = {"name": "ReshapeTokensToImage", "remove_cls_token": False}
    tree = of_segmentation({**PRITHVI, "necks": [kept, RESHAPED[1], pyramid]})
    file, model = a_checkpoint(tree)
    content = torch.load(file, weights_only=True)
    content["hyper_parameters"]["model_args"]["necks"] = [*RESHAPED, pyramid]
    torch.save(content, file)
    call(conf, ckpt=file, mean=[0.0] * 6, std=[1.0] * 6)
    image = torch.randn(1, 6, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(trained(only_run().path).model(image).output, model(image).output)
    assert "remove_cls_token: false" in " ".join(only_run().read().weights["imported"]["remarks"])
    content["hyper_parameters"]["model_args"]["necks"] = RESHAPED
    torch.save(content, file)
    with pytest.raises(UserError, match=r"the model would be another one: .*LearnedInterpolateToPyramidal is added"):
        call(conf, ckpt=file, mean=[0.0] * 6, std=[1.0] * 6)


@pytest.mark.usefixtures("without_class_token")
def test_an_error_about_necks_names_no_option_of_the_command_line(conf):
    wrong = written(of_segmentation({**PRITHVI, "necks": [{"name": "ReshapeTokensToImage", "effective_time_dim": 3}]}))
    with pytest.raises(UserError, match=r"^neck.necks\[0\] \(ReshapeTokensToImage\)") as refused:
        call(conf, config=wrong, overwrite=True)
    assert refused.value.part is None  # no option was chosen on the command line
