"""Decode heads of mmsegmentation as decoders that include their head."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from geocompose.catalog.mmseg import NAMES, NOT_HERE, check_name
from geocompose.catalog.sources import NamedParts
from geocompose.contracts.needs import Needs
from geocompose.decoders.layers import accept_single_values
from geocompose.decoders.mmseg.any_size import accept_few_cells, draw_bases
from geocompose.decoders.mmseg.arguments import checked
from geocompose.decoders.mmseg.heads import head_row
from geocompose.decoders.mmseg.library import decode_heads
from geocompose.errors import UserError
from geocompose.registry import DECODER_REGISTRY


class MmsegDecoder(nn.Module):
    """A decode head of mmsegmentation: features in, one output per class or variable out. Its own losses are left out.

    Weights begin as mmsegmentation's own training does.
    """

    needs: Needs
    includes_head: ClassVar[bool] = True

    def __init__(
        self,
        channel_list: list[int],
        name: str,
        num_classes: int,
        kwargs: dict[str, object] | None = None,
        strides: list[int | Fraction] | None = None,
    ) -> None:
        """Take the incoming widths.

        name: that of a head, such as `UPerHead`. num_classes: classes, or variables. kwargs: arguments of that head's
        constructor; what follows from features and task is filled in, and `norm_cfg` is batch norm where it is not
        given.
        strides: the features' strides, where known; FPNHead has to know them.

        Raises:
            UserError: mmsegmentation is not installed; an unknown head or argument, or one that is lacking; features
                that the head can't read.
        """
        super().__init__()
        row = head_row(name)
        given = checked(name, kwargs or {}, row.allowed, row.required)
        if num_classes < row.least_outputs:
            raise UserError(
                f"mmseg's {name} normalises its outputs over the classes, which leaves nothing of one and a sign of "
                f"two: it needs {row.least_outputs} or more; the task has {num_classes}. Use another decoder."
            )
        arguments = row.complete(name, list(channel_list), strides, given)
        self.needs = row.needs(given)
        self._selected: list[int] = []
        if name == "DPTHead":  # it counts its features before it selects them, and takes four
            self._selected, arguments["in_index"] = arguments["in_index"], list(range(len(arguments["in_index"])))
        self.name = name
        self.decoder = _built(name, arguments, num_classes)  # the attribute's name is TerraTorch's
        if name == "LRASPPHead":
            from mmcv.cnn import ConvModule

            accept_few_cells(self.decoder, arguments["in_channels"][-1], ConvModule)
        if name == "LightHamHead":
            draw_bases(self.decoder)
        if self.decoder.dropout is None:
            self.decoder.dropout = nn.Identity()  # ANNHead calls it in any case
        for part in row.still:
            getattr(self.decoder, part).requires_grad_(False)
        accept_single_values(self.decoder)  # pooling to 1 x 1 and a batch of one image
        self.out_channels = num_classes

    @staticmethod
    def needs_given(arguments: Mapping[str, Any]) -> Needs:
        """Return what the decoder needs when it is built with these arguments."""
        return head_row(arguments["name"]).needs(arguments.get("kwargs") or {})

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return logits or values (B, num_classes, h, w)."""
        read: list[Any] = [feature.contiguous() for feature in features]  # some of its heads call `view`
        if self.name == "DPTHead":
            read = [(read[index], None) for index in self._selected]  # a class token, which is ignored
        output = self.decoder(read)
        return output[0] if isinstance(output, tuple) else output  # the others serve its own losses


def _built(name: str, arguments: Mapping[str, Any], num_classes: int) -> nn.Module:
    constructor = getattr(decode_heads(), name)
    norm = {} if "norm_cfg" in arguments or name == "SegmenterMaskTransformerHead" else {"norm_cfg": {"type": "BN"}}
    # The threshold is for mmseg's own prediction; it warns where it is not given.
    outputs = {"num_classes": num_classes, "out_channels": num_classes, "threshold": 0.5}
    device = torch.get_default_device()
    try:
        # Segmenter's constructor asks a tensor for its numbers, which one on the meta device doesn't have.
        with torch.device("cpu" if name == "SegmenterMaskTransformerHead" else device):
            head = constructor(**arguments, **norm, **outputs, loss_decode=[]).to(device)
    except UserError:
        raise
    except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        shown = ", ".join(f"{key}={value}" for key, value in arguments.items())
        raise UserError(
            f"mmseg's {name} can't be built with {shown}. It stopped with {type(error).__name__}: {error}. Change "
            "decoder.kwargs, or leave out what need not be given."
        ) from error
    del head.loss_decode
    _initialise(head)
    return head


def _initialise(head: Any) -> None:
    """Give a head the weights that mmsegmentation begins with, without the log that it writes of them."""
    from mmengine.model import BaseModule
    from mmengine.model.weight_init import initialize

    if type(head).init_weights is not BaseModule.init_weights:
        head.init_weights()
    elif head.init_cfg:
        initialize(head, head.init_cfg)


DECODER_REGISTRY.register_source(
    "mmseg",
    NamedParts(
        MmsegDecoder,
        lambda: NAMES,
        argument="name",
        has=lambda name: name in NAMES or name in NOT_HERE,
        check=check_name,  # says why, where a head can't be a decoder here
    ),
)
