"""mmsegmentation's decode heads, a row each: how its arguments are completed, which it takes, what it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from geocompose.catalog.mmseg import check_name
from geocompose.contracts.needs import Needs, reads_feature
from geocompose.decoders.foreign import Strides
from geocompose.decoders.mmseg import completion
from geocompose.decoders.mmseg.completion import Arguments, Request

COMMON = ("channels", "dropout_ratio", "norm_cfg", "act_cfg", "align_corners", "in_index")
CHANNELS: Mapping[str, str] = {"channels": "256"}


@dataclass(frozen=True)
class Head:
    """One decode head.

    completion: returns all its constructor's arguments but the number of outputs. needs: what it needs of the features
    when it is built with these arguments. own: its arguments beside those in `COMMON`. unheeded: those in `COMMON` that
    it takes and makes nothing of. required: those that it can't do without, each with an example. still: its parts that
    serve mmseg's own losses only, and don't learn here. least_outputs: the least number of classes that makes sense.
    """

    completion: Callable[[Request], Arguments]
    needs: Callable[[Mapping[str, Any]], Needs]
    own: tuple[str, ...] = ()
    required: Mapping[str, str] = field(default_factory=lambda: CHANNELS)
    unheeded: tuple[str, ...] = ()
    still: tuple[str, ...] = ()
    least_outputs: int = 1

    @property
    def allowed(self) -> tuple[str, ...]:
        """The arguments that a user may give."""
        return (*(name for name in COMMON if name not in self.unheeded), *self.own)

    def complete(self, name: str, widths: list[int], strides: Strides, given: Arguments) -> Arguments:
        """Return all arguments of the head `name` but the number of outputs.

        Raises:
            UserError: the features or the arguments given are not what the head can be built for.
        """
        return self.completion(Request(name, self.own, self.needs(given).pyramid, widths, strides, given))


def _needs_one(given: Mapping[str, Any]) -> Needs:
    index = given.get("in_index")
    return reads_feature(-1 if index is None else index)


def _counted(given: Mapping[str, Any], needs: Needs) -> Needs:
    """Return the needs of a head that selects features itself where `in_index` names them in the backbone's list."""
    return needs if given.get("in_index") is None else replace(needs, most=None, layers=None)


def _pyramid(given: Mapping[str, Any]) -> Needs:
    return Needs(levels=2, pyramid=True)


def _needs_enc(given: Mapping[str, Any]) -> Needs:
    return _pyramid(given) if given.get("add_lateral") else Needs(reads_one=True)


def _needs_deeplab(given: Mapping[str, Any]) -> Needs:
    if given.get("c1_channels") == 0:
        return Needs(reads_one=True)
    return Needs(levels=2, most=2, pyramid=True, third_to_last=(4, 2))


_JOINS = ("input_transform",)
_FCN = ("kernel_size", "concat_input", *_JOINS)

HEADS: Mapping[str, Head] = {
    # Of one feature.
    "APCHead": Head(completion.one, _needs_one, ("pool_scales", "fusion", *_JOINS)),
    "ASPPHead": Head(completion.one, _needs_one, ("dilations", *_JOINS)),
    "DAHead": Head(
        completion.one,
        _needs_one,
        ("pam_channels", *_JOINS),
        {**CHANNELS, "pam_channels": "64"},
        still=("pam_conv_seg", "cam_conv_seg"),
    ),
    "DMHead": Head(completion.one, _needs_one, ("filter_sizes", "fusion", *_JOINS)),
    "DNLHead": Head(completion.one, _needs_one, ("reduction", "use_scale", "mode", "temperature", "dilation", *_FCN)),
    "DepthwiseSeparableFCNHead": Head(
        completion.one, _needs_one, ("num_convs", "dw_act_cfg", *_FCN), unheeded=("act_cfg",)
    ),
    "EMAHead": Head(
        completion.one,
        _needs_one,
        ("ema_channels", "num_bases", "num_stages", "concat_input", "momentum", *_JOINS),
        {**CHANNELS, "ema_channels": "256", "num_bases": "64", "num_stages": "3"},
    ),
    "EncHead": Head(completion.enc, _needs_enc, ("num_codes", "add_lateral")),
    "FCNHead": Head(completion.one, _needs_one, ("num_convs", "dilation", *_FCN)),
    "GCHead": Head(completion.one, _needs_one, ("ratio", "pooling_type", "fusion_types", "dilation", *_FCN)),
    "ISAHead": Head(
        completion.one, _needs_one, ("isa_channels", "down_factor", *_JOINS), {**CHANNELS, "isa_channels": "256"}
    ),
    "NLHead": Head(completion.one, _needs_one, ("reduction", "use_scale", "mode", "dilation", *_FCN)),
    "PSPHead": Head(completion.one, _needs_one, ("pool_scales", *_JOINS)),
    "SETRUPHead": Head(completion.one, _needs_one, ("norm_layer", "num_convs", "up_scale", "kernel_size")),
    "STDCHead": Head(completion.one, _needs_one, ("num_convs", "dilation", *_FCN)),
    "SegmenterMaskTransformerHead": Head(
        completion.segmenter,
        _needs_one,
        (
            "num_layers", "num_heads", "embed_dims", "mlp_ratio", "drop_path_rate", "drop_rate", "attn_drop_rate",
            "num_fcs", "qkv_bias", "init_std",
        ),
        {"num_layers": "2", "num_heads": "4", "embed_dims": "256"},
        unheeded=("channels", "dropout_ratio", "align_corners"),
        least_outputs=3,
    ),
    # Of several.
    "ANNHead": Head(
        completion.ann,
        lambda given: _counted(given, Needs(levels=2, most=2, layers=2)),
        ("project_channels", "query_scales", "key_pool_scales"),
        {**CHANNELS, "project_channels": "256"},
        unheeded=("align_corners",),
    ),
    "DPTHead": Head(
        completion.dpt,
        lambda given: _counted(
            given, Needs(levels=4, most=4, layers=4, one_scale=True, equal_widths=True, coarser=2)
        ),
        ("post_process_channels",),
        unheeded=("align_corners",),
    ),
    "DepthwiseSeparableASPPHead": Head(
        completion.deeplab, _needs_deeplab, ("dilations", "c1_channels"), {**CHANNELS, "c1_channels": "48"}
    ),
    "FPNHead": Head(completion.fpn, _pyramid, ("feature_strides",)),
    "LRASPPHead": Head(completion.lraspp, lambda given: Needs(levels=3, pyramid=True), ("branch_channels",)),
    "LightHamHead": Head(completion.ham, _pyramid, ("ham_channels", "ham_kwargs")),
    "SETRMLAHead": Head(
        completion.scaled,
        lambda given: _counted(given, Needs(layers=4, one_scale=True)),
        ("mla_channels", "up_scale"),
        required={},
        unheeded=("channels",),
    ),
    "SegformerHead": Head(completion.many, _pyramid, ("interpolate_mode",)),
    "UPerHead": Head(completion.many, _pyramid, ("pool_scales",)),
}  # fmt: skip


def head_row(name: str) -> Head:
    """Return the row of a decode head.

    Raises:
        UserError: there is no such head here; says why, or names the nearest.
    """
    check_name(name)
    return HEADS[name]
