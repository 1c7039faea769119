"""Prithvi's pretrained weights, in every layout in which they are published and for any choice of bands."""

import hashlib
import logging
from enum import Enum
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import Tensor

from geocompose.backbones.foreign.files import read_state_dict, without_timm_module
from geocompose.backbones.prithvi import weight_file
from geocompose.backbones.prithvi.vit import PrithviViT
from geocompose.errors import UserError
from geocompose.imagery.bands import HLS_BANDS
from tests.backbones.test_prithvi import image, small


def published(layout: str) -> tuple[PrithviViT, dict[str, Tensor]]:
    """Return a small random model and its weights as the published files lay them out, with a decoder's beside them."""
    torch.manual_seed(5)
    model = small()
    own = model.state_dict()
    if layout == "v1":
        return model, {**own, "decoder_embed.weight": torch.zeros(2), "mask_token": torch.zeros(1)}
    state = {f"encoder.{key}": value for key, value in own.items()}
    state |= {"decoder.mask_token": torch.zeros(1), "decoder.decoder_blocks.0.norm1.weight": torch.zeros(2)}
    return model, {f"_timm_module.{key}": value for key, value in state.items()} if layout == "old" else state


def stored(folder: Path, state: dict[str, Tensor], name: str = "weights.pt") -> Path:
    path = folder / name
    if path.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("layout", ["v2", "v1", "old"])
def test_each_published_layout_is_loaded_from_the_hub(layout, tmp_path, monkeypatch):
    source, state = published(layout)
    path = stored(tmp_path, state)
    asked = []

    def download(repository: str, file: str) -> Path:
        asked.append(f"{repository}/{file}")
        return path

    monkeypatch.setattr(weight_file, "download", download)
    model = small(pretrained=True)
    assert asked == ["ibm-nasa-geospatial/Prithvi-EO-2.0-300M/Prithvi_EO_V2_300M.pt"]
    assert model.weights == {"source": asked[0], "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    for mine, theirs in zip(model(image()), source(image()), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors", "weights.ckpt"])
def test_a_local_file_is_loaded_and_its_hash_recorded(name, tmp_path):
    source, state = published("v2")
    path = stored(tmp_path, state, name)
    model = small(ckpt_path=str(path))
    assert model.weights == {"source": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert torch.equal(model(image())[-1], source(image())[-1])


def test_a_local_file_wins_over_the_hub(tmp_path):
    source, state = published("v2")
    model = small(pretrained=True, ckpt_path=str(stored(tmp_path, state)))
    assert torch.equal(model(image())[-1], source(image())[-1])


def test_published_weights_load_beside_new_prompts_and_stored_prompts_load_with_theirs(tmp_path):
    source, state = published("v2")
    path = stored(tmp_path, state)
    prompted = small(ckpt_path=str(path), vpt=True, vpt_n_tokens=2)
    assert torch.equal(prompted.patch_embed.proj.weight, source.patch_embed.proj.weight)
    tuned = stored(tmp_path, prompted.state_dict(), "tuned.pt")
    again = small(ckpt_path=str(tuned), vpt=True, vpt_n_tokens=2)
    assert torch.equal(again(image())[-1], prompted(image())[-1])
    with pytest.raises(UserError, match=r"3 unexpected: vpt_prompt_embeddings.0"):
        small(ckpt_path=str(tuned))
    with pytest.raises(UserError, match=r"3 of another shape: vpt_prompt_embeddings.0"):
        small(ckpt_path=str(tuned), vpt=True, vpt_n_tokens=3)


def test_a_name_that_old_weights_hold_twice_is_refused():
    tensor = torch.zeros(1)
    assert set(without_timm_module({"model.encoder._timm_module.norm.bias": tensor})) == {"model.encoder.norm.bias"}
    with pytest.raises(UserError, match=r"hold norm.bias twice, with and without '_timm_module.'"):
        without_timm_module({"_timm_module.norm.bias": tensor, "norm.bias": tensor})


def test_a_wrapped_state_dict_is_unwrapped(tmp_path):
    source, state = published("v1")
    path = tmp_path / "wrapped.pt"
    torch.save({"model": state, "epoch": 3}, path)
    assert torch.equal(small(ckpt_path=str(path))(image())[-1], source(image())[-1])


def test_the_model_keeps_positions_of_its_own_size(tmp_path):
    path = stored(tmp_path, published("v2")[1])
    model = small(ckpt_path=str(path), img_size=32, num_frames=2)
    assert torch.equal(model.pos_embed, small(img_size=32, num_frames=2).pos_embed)


def test_weights_of_a_coordinate_encoding_that_is_off_are_dropped_and_missing_ones_start_anew(
    tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(logging.getLogger("geocompose"), "propagate", True)
    source, state = published("v2")
    with_time = stored(tmp_path, {**state, "encoder.temporal_embed_enc.scale": torch.tensor([0.7])})
    assert torch.equal(small(ckpt_path=str(with_time))(image())[-1], source(image())[-1])
    model = small(ckpt_path=str(with_time), coords_encoding=["time"], coords_scale_learn=True)
    assert model.temporal_embed_enc is not None
    assert model.temporal_embed_enc.scale.item() == pytest.approx(0.7)
    with caplog.at_level(logging.WARNING, "geocompose"):
        small(ckpt_path=str(stored(tmp_path, state)), coords_encoding=["location"], coords_scale_learn=True)
    assert "no location_embed_enc" in caplog.text


def test_bands_take_their_own_slices_in_any_choice_and_order(tmp_path):
    source, state = published("v2")
    chosen = ["SWIR_2", "B2", "NIR_NARROW"]
    model = small(ckpt_path=str(stored(tmp_path, state)), bands=chosen)
    places = [HLS_BANDS.index(name) for name in ("SWIR_2", "BLUE", "NIR_NARROW")]
    assert torch.equal(model.patch_embed.proj.weight, source.patch_embed.proj.weight[:, places])
    whole = torch.zeros(2, 6, 64, 64)
    whole[:, places] = image(3)
    torch.testing.assert_close(model(image(3))[-1], source(whole)[-1], atol=1e-5, rtol=1e-5)


class SomebodysBands(Enum):
    RED = "RED"
    SWIR_2 = "SWIR_2"


@pytest.mark.parametrize(
    "bands", [[SomebodysBands.SWIR_2, SomebodysBands.RED], OmegaConf.create(["SWIR_2", "RED"]), ("B12", "red")]
)
def test_band_names_of_any_kind_and_in_any_list_choose_pretrained_weights(bands, tmp_path):
    source, state = published("v2")
    model = small(
        ckpt_path=str(stored(tmp_path, state)), bands=bands, pretrained_bands=OmegaConf.create(list(HLS_BANDS))
    )
    places = [HLS_BANDS.index(name) for name in ("SWIR_2", "RED")]
    assert torch.equal(model.patch_embed.proj.weight, source.patch_embed.proj.weight[:, places])


def test_without_bands_the_model_has_those_of_its_weights(tmp_path):
    source, state = published("v2")
    order = list(reversed(HLS_BANDS))
    model = small(ckpt_path=str(stored(tmp_path, state)), pretrained_bands=order)
    assert model.bands == order
    assert torch.equal(model.patch_embed.proj.weight, source.patch_embed.proj.weight)


def test_weights_of_other_bands_are_matched_by_the_names_given(tmp_path):
    source, state = published("v2")
    order = ["SWIR_2", "SWIR_1", "NIR_NARROW", "RED", "GREEN", "BLUE"]
    model = small(ckpt_path=str(stored(tmp_path, state)), bands=HLS_BANDS, pretrained_bands=order)
    assert torch.equal(model.patch_embed.proj.weight, source.patch_embed.proj.weight.flip(1))
    with pytest.raises(
        UserError, match=r"have 6 input bands, but pretrained_bands names 2: .*'backbone\.pretrained_bands=\["
    ):
        small(ckpt_path=str(tmp_path / "weights.pt"), pretrained_bands=["RED", "GREEN"])


def test_a_band_without_weights_needs_consent_and_is_announced(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("geocompose"), "propagate", True)
    source, state = published("v2")
    path = str(stored(tmp_path, state))
    with pytest.raises(UserError, match=r"have no band NIR_BROAD; .*backbone.allow_random_bands=true"):
        small(ckpt_path=path, bands=["RED", "NIR_BROAD"])
    with caplog.at_level(logging.WARNING, "geocompose"):
        model = small(ckpt_path=path, bands=["NIR_BROAD", "RED"], allow_random_bands=True)
    assert "No pretrained weights for NIR_BROAD" in caplog.text
    weight = model.patch_embed.proj.weight
    assert torch.equal(weight[:, 1], source.patch_embed.proj.weight[:, HLS_BANDS.index("RED")])
    assert all(not torch.equal(weight[:, 0], source.patch_embed.proj.weight[:, band]) for band in range(6))


def test_a_random_backbone_says_so(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("geocompose"), "propagate", True)
    with caplog.at_level(logging.INFO, "geocompose"):
        small()
    assert "prithvi_eo_v2_300 starts from random weights" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 4}, r"not this model's: 12 missing: blocks.3"),
        ({"depth": 2}, r"12 unexpected: blocks.2"),
        ({"embed_dim": 48}, r"of another shape: blocks.0.attn.proj.bias \(32,\) instead of \(48,\)"),
        ({"patch_size": 8}, r"1 of another shape: patch_embed.proj.weight"),
    ],
)
def test_weights_of_another_model_are_refused(changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        small(ckpt_path=str(stored(tmp_path, published("v2")[1])), **changes)


def test_a_file_that_holds_no_weights_is_refused(tmp_path):
    broken, foreign = tmp_path / "broken.pt", tmp_path / "foreign.pt"
    broken.write_bytes(b"no weights")
    torch.save([1, 2], foreign)
    with pytest.raises(UserError, match=r"broken.pt can't be read as weights"):
        small(ckpt_path=str(broken))
    with pytest.raises(UserError, match=r"foreign.pt holds no state dict .*, but list"):
        small(ckpt_path=str(foreign))


def test_published_statistics_follow_the_bands():
    assert small().published.statistics(["SWIR_2", "BLUE"]) == ([1363.0, 1087.0], [1049.0, 2248.0])
    assert small(variant="prithvi_eo_v1_100").published.statistics(["B3"]) == ([1081.0], [1270.0])
    assert small(bands=["RED", "VV"]).published.statistics(["RED", "VV"]) is None


def test_what_weights_have_seen_is_known_without_reading_them(tmp_path):
    assert small().pretraining is None
    with torch.device("meta"):
        seen = small(pretrained=True, bands=["RED", "VV"]).pretraining
        reordered = small(ckpt_path=str(tmp_path / "none.pt"), pretrained_bands=["RED", "B8A"]).pretraining
        others = small(ckpt_path=str(tmp_path / "none.pt"), pretrained_bands=["RED", "VV"]).pretraining
    assert (seen.bands, seen.unit, seen.level) == (HLS_BANDS, "reflectance_1e4", "BOA")
    assert seen.lacking(["B4", "VV", "B8"]) == ["VV", "B8"]
    assert reordered.statistics(["NIR_NARROW"]) == ([2734.0], [1850.0])
    assert (others.bands, others.unit, others.level, others.mean) == (("RED", "VV"), None, None, None)


def test_an_empty_weight_file_is_told_as_such(tmp_path):
    path = tmp_path / "empty.pt"
    path.touch()
    with pytest.raises(UserError, match=r"empty\.pt is empty\. Copy it again"):
        read_state_dict(path)
