"""Every option of conf/head with every kind of task.

It fits its own; a head for pixels may serve the image, whose output is then their mean, but not the other way round.
"""

import pytest
import torch
from torch import Tensor, nn

from geocompose.configuration.diagnosis import options
from geocompose.configuration.instantiation import instantiate
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.heads import HEADS
from geocompose.imagery.samples import OF_CLASSES, PIXEL_WISE
from geocompose.models.encoder_decoder import EncoderDecoderModel
from tests.kit.owed import check_copies, check_export, check_gradients, check_state
from tests.kit.places import CONF
from tests.kit.small import content, image, stand_in

OPTIONS = [name for name in options(CONF, "head") if name != "own"]  # whose class a user names
# Values that change what a head is made of, beside its defaults.
FULL = {
    "channel_list": [8, 4],
    "dim_list": [8, 4],
    "dropout": 0.1,
    "learned_upscale_layers": 1,
    "linear_after_pool": True,
}


def built(head: str, task: str, outputs: int = 3, full: bool = False) -> EncoderDecoderModel:
    keys = dict(content("head", head))
    if full:
        keys |= {key: value for key, value in FULL.items() if key in keys}
    count = {"num_classes": outputs} if task in OF_CLASSES else {"num_outputs": outputs}
    torch.manual_seed(0)
    return EncoderDecoderFactory(image_size=(32, 48)).build_model(
        task=task, backbone=stand_in("pyramid"), decoder="IdentityDecoder", decoder_out_index=0, head=instantiate(keys),
        **count
    )  # fmt: skip


def run(model: nn.Module) -> list[Tensor]:
    return [model(image(3, 2, 32, 48)).output]


def test_every_kind_of_task_has_an_option_of_its_name():
    assert set(OPTIONS) == set(HEADS)


@pytest.mark.parametrize("full", [False, True], ids=["defaults", "all layers"])
@pytest.mark.parametrize("task", HEADS)
@pytest.mark.parametrize("head", OPTIONS)
def test_a_head_gives_the_outputs_of_the_task_or_is_refused(head, task, full):
    if head not in PIXEL_WISE and task in PIXEL_WISE:
        with pytest.raises(UserError, match=r"needs a map .* from its head; it gets \(1, 3\). Use head=segmentation"):
            built(head, task, full=full)
        return
    model = built(head, task, full=full)
    for batch, rows, columns in ((1, 32, 32), (3, 32, 80), (1, 50, 37)):
        with torch.no_grad():
            output = model.eval()(image(3, batch, rows, columns)).output
        assert output.shape == ((batch, 3, rows, columns) if task in PIXEL_WISE else (batch, 3))
    if task not in OF_CLASSES:
        assert built(head, task, outputs=1, full=full)(image(3, 2)).output.ndim == (3 if task in PIXEL_WISE else 1)


@pytest.mark.parametrize("full", [False, True], ids=["defaults", "all layers"])
@pytest.mark.parametrize("head", OPTIONS)
def test_a_head_learns_in_all_its_parameters_and_is_copied_averaged_stored_and_exported(head, full):
    check_gradients(built(head, head, full=full), run)
    model = built(head, head, full=full)
    check_export(model, (image(3, 2, 32, 48),), lambda returned: [returned.output])
    check_copies(model, run, average=True)
    check_state(model, built(head, head, full=full), run)
