"""Masked autoencoders: every option of Prithvi with their decoder, and what goes with no such decoder."""

import pytest
import torch
from torch import Tensor, nn

from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.heads import HEADS
from geocompose.imagery.samples import OF_CLASSES
from geocompose.models.prithvi_mae.model import MaskedAutoencoderModel
from tests.kit.owed import check_copies, check_export, check_gradients, check_state
from tests.kit.small import BACKBONES, MASKED, content, coordinates, fresh_backbone, image, instantiate, noise

PRITHVIS = [name for name in BACKBONES if name.startswith("prithvi")]
OTHERS = [name for name in BACKBONES if name not in PRITHVIS]
SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2}


def decoder():
    return instantiate({**content("decoder", MASKED), **SMALL})


def built(name: str = "prithvi_eo_tiny", size: tuple[int, int] = (64, 64), **more) -> MaskedAutoencoderModel:
    torch.manual_seed(0)
    given = {"task": "reconstruction", "num_outputs": 6, **more}
    model = EncoderDecoderFactory(image_size=size).build_model(
        **{"backbone": lambda: fresh_backbone(name), "decoder": decoder(), **given}
    )
    assert isinstance(model, MaskedAutoencoderModel)
    return model


def run(model: nn.Module) -> list[Tensor]:
    own = getattr(model, "module", model)  # of an average
    shown = noise(2, own.num_patches((50, 70)))
    return [model(image(6, 2, 50, 70), noise=shown, **coordinates(own.encoder, 2)).output]


@pytest.mark.parametrize("name", PRITHVIS)
def test_every_prithvi_predicts_images_of_any_size_of_which_it_was_shown_a_quarter(name):
    model = built(name).eval()
    for batch, rows, columns in ((1, 64, 64), (2, 50, 70)):
        with torch.no_grad():
            returned = model(image(6, batch, rows, columns))
        assert returned.output.shape == (batch, 6, rows, columns)
        assert returned.output.isfinite().all()
        assert returned.hidden.shape == (batch, rows, columns)
        if rows == 64:
            assert returned.hidden.float().mean().item() == pytest.approx(0.75, abs=0.01)
    check_gradients(model, run)


def test_what_is_hidden_follows_the_noise_and_changes_no_prediction():
    model = built().eval()
    shown = noise(2, 16)
    given = image(6, 2, 64, 64)
    with torch.no_grad():
        first = model(given, noise=shown)
        changed = torch.where(first.hidden.unsqueeze(1), 9.0, given)
        second = model(changed, noise=shown)
        other = model(torch.where(first.hidden.unsqueeze(1), given, 9.0), noise=shown)
    assert torch.equal(first.hidden, second.hidden)
    torch.testing.assert_close(first.output, second.output)
    assert not torch.allclose(first.output, other.output)
    cells = first.hidden.unflatten(2, (4, 16)).unflatten(1, (4, 16)).float().mean(dim=(2, 4))
    assert torch.equal(cells.flatten(1).bool(), shown.argsort(1).argsort(1) >= 4)


def test_it_is_copied_averaged_stored_and_exported():
    model, other = built(), built()
    check_export(model, (image(6, 2, 50, 70),), lambda returned: [returned.hidden.float()[:0]])
    check_copies(model, run, average=True)
    check_state(model, other, run)


@pytest.mark.parametrize("name", OTHERS[:3])
def test_a_backbone_that_sees_whole_images_is_refused(name):
    with pytest.raises(UserError, match=r"needs a backbone of Prithvi.*task=reconstruction decoder=unet"):
        built(name)


@pytest.mark.parametrize("task", [task for task in HEADS if task != "reconstruction"])
def test_every_other_task_is_refused(task):
    count = {"num_classes": 3} if task in OF_CLASSES else {"num_outputs": 3}
    with pytest.raises(UserError, match=f"for task=reconstruction; the task is {task}"):
        EncoderDecoderFactory(image_size=(64, 64)).build_model(
            task=task, backbone="prithvi_eo_tiny", decoder=decoder(), **count
        )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"necks": [{"name": "SelectIndices", "indices": [-1]}]}, "write neck=none"),
        ({"aux_decoders": [{"name": "aux", "decoder": "FCNDecoder"}]}, "write auxiliary=none"),
        ({"peft_config": {"method": "LORA", "peft_config_kwargs": {"target_modules": ["qkv"]}}}, "write peft=none"),
        ({"backbone_use_temporal": True, "backbone_temporal_pooling": "mean"}, "write temporal=none"),
        ({"head_dropout": 0.5}, r"includes its head, so head_dropout \(head.dropout\) would have no effect"),
        ({"backbone": "prithvi_eo_tiny", "backbone_num_frames": 2}, "takes images of one frame so far"),
        ({"backbone": "prithvi_eo_tiny", "backbone_out_indices": [0, 1]}, "3"),
    ],
)
def test_what_an_autoencoder_has_not_is_refused(more, message):
    with pytest.raises(UserError, match=message):
        built(**more)


def test_the_backbone_starts_as_in_every_other_task_of_the_seed():
    def started(**given):
        torch.manual_seed(5)
        return EncoderDecoderFactory(image_size=(64, 64)).build_model(backbone="prithvi_eo_tiny", **given).encoder

    one = started(task="reconstruction", decoder=decoder(), num_outputs=6).state_dict()
    other = started(task="segmentation", decoder="FCNDecoder", num_classes=2).state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_one_band_is_predicted_without_its_dimension():
    model = built(backbone="prithvi_eo_tiny", backbone_bands=["RED"], num_outputs=1)
    assert model(image(1, 2, 64, 64)).output.shape == (2, 64, 64)
