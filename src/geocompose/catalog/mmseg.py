"""How each decode head of mmsegmentation is built from feature widths, what it needs of the features, and which are not here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import log2
from typing import Any

from geocompose.contracts.needs import Needs, feature_at, reads_feature
from geocompose.errors import UserError, choices

Arguments = dict[str, Any]
Strides = Sequence[int | Fraction] | None

COMMON = ("channels", "dropout_ratio", "norm_cfg", "act_cfg", "align_corners", "in_index")
CHANNELS: Mapping[str, str] = {"channels": "256"}


@dataclass(frozen=True)
class Head:
    """One decode head.

    complete: returns all its constructor's arguments but the number of outputs, from the features' widths and strides
    and the arguments given. needs: what it needs of the features when it is built with these arguments. own: its
    arguments beside those in `COMMON`. unheeded: those in `COMMON` that it takes and makes nothing of. required: those
    that it can't do without, each with an example. still: its parts that serve mmseg's own losses only, and don't learn
    here. least_outputs: the number of classes from which it makes sense.
    """

    complete: Callable[[str, list[int], Strides, Arguments], Arguments]
    needs: Callable[[Mapping[str, Any]], Needs]
    own: tuple[str, ...] = ()
    required: Mapping[str, str] = field(default_factory=lambda: CHANNELS)
    unheeded: tuple[str, ...] = ()
    still: tuple[str, ...] = ()
    least_outputs: int = 1

    @property
    def allowed(self) -> tuple[str, ...]:
        """The arguments that somebody may give."""
        return (*(name for name in COMMON if name not in self.unheeded), *self.own)


def _indices(head: str, widths: list[int], given: Arguments) -> list[int]:
    """Return the features that a head of several reads: those given, else all."""
    wanted = given.get("in_index")
    if wanted is None:
        return list(range(len(widths)))
    if isinstance(wanted, int):
        raise UserError(
            f"mmseg {head}: in_index is a list of the features that it reads, such as [0, 1], or null; got {wanted}."
        )
    for index in wanted:
        feature_at(widths, index, f"mmseg {head}")
    return wanted


def _one(head: str, widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    """Complete the arguments of a head that reads one feature, or several joined."""
    index, joined = given.get("in_index", -1), given.get("input_transform") is not None
    if not isinstance(index, int) and "input_transform" not in HEADS[head].own:
        raise UserError(f"mmseg {head}: in_index is the number of the one feature that it reads; got {index}.")
    if isinstance(index, int) is joined:
        raise UserError(
            f"mmseg {head}: in_index is one number, or a list with input_transform=resize_concat; got {index} with "
            f"input_transform={given.get('input_transform') or 'null'}."
        )
    read: int | list[int] = (
        feature_at(widths, index, f"mmseg {head}")
        if isinstance(index, int)
        else [feature_at(widths, each, f"mmseg {head}") for each in index]
    )
    total = read if isinstance(read, int) else sum(read)
    if given.get("num_convs") == 0 and "dw_act_cfg" in HEADS[head].own:
        raise UserError(f"mmseg {head}: num_convs is a whole number from 1 on; got 0.")
    if given.get("num_convs") == 0 and "concat_input" in HEADS[head].own and total != given["channels"]:
        raise UserError(
            f"mmseg {head}: with num_convs=0 the feature goes on as it is, so channels is its width, {total}; got "
            f"{given['channels']}."
        )
    return {**given, "in_channels": read, "in_index": index}


def _needs_one(given: Mapping[str, Any]) -> Needs:
    index = given.get("in_index")
    return reads_feature(-1 if index is None else index)


def _many(head: str, widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    """Complete the arguments of a head that reads a list of features, and says so itself."""
    indices = _indices(head, widths, given)
    places = [index % len(widths) for index in indices]
    if HEADS[head].needs(given).pyramid and places != sorted(set(places)):
        raise UserError(
            f"mmseg {head}: in_index names levels of a pyramid once each, finest first, such as {sorted(set(places))}; "
            f"got {indices}."
        )
    return {**given, "in_channels": [widths[index] for index in indices], "in_index": indices}


def _counted(given: Mapping[str, Any], needs: Needs) -> Needs:
    """Return the needs of a head that selects features itself where somebody counted them out in the backbone's list."""
    return needs if given.get("in_index") is None else replace(needs, most=None, layers=None)


def _pyramid(given: Mapping[str, Any]) -> Needs:
    return Needs(levels=2, pyramid=True)


def _fpn(head: str, widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    arguments = _many(head, widths, strides, given)
    known = given.get("feature_strides")
    if strides is None:
        if known is None or len(known) != len(arguments["in_index"]):
            raise UserError(
                f"mmseg {head}: give feature_strides, one for each of the {len(arguments['in_index'])} features, such "
                "as [4, 8, 16, 32]."
            )
        return arguments
    read = [Fraction(strides[index]) for index in arguments["in_index"]]
    if known is not None and [Fraction(stride) / known[0] for stride in known] != [stride / read[0] for stride in read]:
        shown = [float(stride) if stride % 1 else int(stride) for stride in read]
        raise UserError(
            f"mmseg {head}: feature_strides follows from the features and is {shown} here; got {known}. Leave it out."
        )
    # Only how often each level is doubled to be as fine as the first matters, and what is left is resized.
    return {**arguments, "feature_strides": [2 ** max(0, round(log2(stride / read[0]))) for stride in read]}


def _scaled(head: str, widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    arguments = _many(head, widths, strides, given)
    mla_channels = given.get("mla_channels", 128)
    return {**arguments, "mla_channels": mla_channels, "channels": len(arguments["in_index"]) * mla_channels}


def _dpt(head: str, widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    arguments = _many(head, widths, strides, given)
    read = arguments["in_channels"]
    if len(read) != 4 or len(set(read)) > 1:
        raise UserError(
            f"mmseg {head} reads four features of one width; it gets {read} channels. Use neck=auto, or end the "
            "necks with SelectIndices and ProjectChannels."
        )
    return {**arguments, "embed_dims": read[0], "input_transform": "multiple_select"}


def _ann(head: str, widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    if len(widths) < 2:
        raise UserError(f"mmseg {head} reads two features; it gets {len(widths)}.")
    arguments = _many(head, widths, strides, {**given, "in_index": given.get("in_index", [-2, -1])})
    if len(arguments["in_index"]) != 2:
        raise UserError(f"mmseg {head} reads two features, such as in_index=[-2, -1]; got {arguments['in_index']}.")
    return arguments


def _enc(head: str, widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    # Without its lateral connections it reads the last alone.
    default = {} if given.get("add_lateral") else {"in_index": [-1]}
    return {**_many(head, widths, strides, {**default, **given}), "use_se_loss": False}


def _needs_enc(given: Mapping[str, Any]) -> Needs:
    return _pyramid(given) if given.get("add_lateral") else Needs(reads_one=True)


def _lraspp(head: str, widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    arguments = _many(head, widths, strides, given)
    count = len(arguments["in_index"]) - 1
    branches = given.get("branch_channels", [32, *[64] * (count - 1)])
    if count < 2:
        raise UserError(f"mmseg {head} reads three features or more; it gets {count + 1}.")
    if len(branches) != count:
        raise UserError(
            f"mmseg {head}: branch_channels has one width a feature before the last: {count} here, got {branches}. Or "
            "null."
        )
    return {**arguments, "branch_channels": tuple(branches), "input_transform": "multiple_select"}


def _deeplab(head: str, widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    return {**_one(head, widths, strides, given), "c1_in_channels": widths[0] if given["c1_channels"] else 0}


def _needs_deeplab(given: Mapping[str, Any]) -> Needs:
    if given.get("c1_channels") == 0:
        return Needs(reads_one=True)
    return Needs(levels=2, most=2, pyramid=True, third_to_last=(4, 2))


def _segmenter(head: str, widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    if given["embed_dims"] % given["num_heads"]:
        raise UserError(
            f"mmseg {head}: embed_dims is divided among num_heads; got {given['embed_dims']} and {given['num_heads']}."
        )
    return {**_one(head, widths, strides, given), "channels": given["embed_dims"]}


def _ham(head: str, widths: list[int], strides: Strides, given: Arguments) -> Arguments:
    # mmseg draws the bases anew at every call, so that one image has another map each time.
    ham = {"rand_init": False, **given.get("ham_kwargs", {})}
    width = given.get("ham_channels", 512)
    if width % ham.get("MD_S", 1):
        raise UserError(f"mmseg {head}: ham_channels is a multiple of ham_kwargs.MD_S; got {width} and {ham['MD_S']}.")
    return {**_many(head, widths, strides, given), "ham_kwargs": ham}


_JOINS = ("input_transform",)
_FCN = ("kernel_size", "concat_input", *_JOINS)

HEADS: Mapping[str, Head] = {
    # Of one feature.
    "APCHead": Head(_one, _needs_one, ("pool_scales", "fusion", *_JOINS)),
    "ASPPHead": Head(_one, _needs_one, ("dilations", *_JOINS)),
    "DAHead": Head(
        _one,
        _needs_one,
        ("pam_channels", *_JOINS),
        {**CHANNELS, "pam_channels": "64"},
        still=("pam_conv_seg", "cam_conv_seg"),
    ),
    "DMHead": Head(_one, _needs_one, ("filter_sizes", "fusion", *_JOINS)),
    "DNLHead": Head(_one, _needs_one, ("reduction", "use_scale", "mode", "temperature", "dilation", *_FCN)),
    "DepthwiseSeparableFCNHead": Head(
        _one, _needs_one, ("num_convs", "dw_act_cfg", *_FCN), unheeded=("act_cfg",)
    ),
    "EMAHead": Head(
        _one,
        _needs_one,
        ("ema_channels", "num_bases", "num_stages", "concat_input", "momentum", *_JOINS),
        {**CHANNELS, "ema_channels": "256", "num_bases": "64", "num_stages": "3"},
    ),
    "EncHead": Head(_enc, _needs_enc, ("num_codes", "add_lateral")),
    "FCNHead": Head(_one, _needs_one, ("num_convs", "dilation", *_FCN)),
    "GCHead": Head(_one, _needs_one, ("ratio", "pooling_type", "fusion_types", "dilation", *_FCN)),
    "ISAHead": Head(
        _one, _needs_one, ("isa_channels", "down_factor", *_JOINS), {**CHANNELS, "isa_channels": "256"}
    ),
    "NLHead": Head(_one, _needs_one, ("reduction", "use_scale", "mode", "dilation", *_FCN)),
    "PSPHead": Head(_one, _needs_one, ("pool_scales", *_JOINS)),
    "SETRUPHead": Head(_one, _needs_one, ("norm_layer", "num_convs", "up_scale", "kernel_size")),
    "STDCHead": Head(_one, _needs_one, ("num_convs", "dilation", *_FCN)),
    "SegmenterMaskTransformerHead": Head(
        _segmenter,
        _needs_one,
        (
            "num_layers", "num_heads", "embed_dims", "mlp_ratio", "drop_path_rate", "drop_rate", "attn_drop_rate", "num_fcs",
            "qkv_bias", "init_std",
        ),
        {"num_layers": "2", "num_heads": "4", "embed_dims": "256"},
        unheeded=("channels", "dropout_ratio", "align_corners"),
        least_outputs=3,
    ),
    # Of several.
    "ANNHead": Head(
        _ann,
        lambda given: _counted(given, Needs(levels=2, most=2, layers=2)),
        ("project_channels", "query_scales", "key_pool_scales"),
        {**CHANNELS, "project_channels": "256"},
        unheeded=("align_corners",),
    ),
    "DPTHead": Head(
        _dpt,
        lambda given: _counted(
            given, Needs(levels=4, most=4, layers=4, one_scale=True, equal_widths=True, coarser=2)
        ),
        ("post_process_channels",),
        unheeded=("align_corners",),
    ),
    "DepthwiseSeparableASPPHead": Head(
        _deeplab, _needs_deeplab, ("dilations", "c1_channels"), {**CHANNELS, "c1_channels": "48"}
    ),
    "FPNHead": Head(_fpn, _pyramid, ("feature_strides",)),
    "LRASPPHead": Head(_lraspp, lambda given: Needs(levels=3, pyramid=True), ("branch_channels",)),
    "LightHamHead": Head(_ham, _pyramid, ("ham_channels", "ham_kwargs")),
    "SETRMLAHead": Head(
        _scaled,
        lambda given: _counted(given, Needs(layers=4, one_scale=True)),
        ("mla_channels", "up_scale"),
        required={},
        unheeded=("channels",),
    ),
    "SegformerHead": Head(_many, _pyramid, ("interpolate_mode",)),
    "UPerHead": Head(_many, _pyramid, ("pool_scales",)),
}  # fmt: skip

_COMPILED = "is built on a compiled operator of mmcv ({}), which is not installed with mmcv-lite"
_CASCADE = "refines the output of another head, and a model has one decoder"
_BRANCHES = "reads the branches of {} in training, and another number of features than in evaluation"
_QUERIES = "needs the package mmdet and returns masks and their classes apart, for a matching loss of its own"

NOT_HERE: Mapping[str, str] = {
    "CCHead": _COMPILED.format("CrissCrossAttention"),
    "PSAHead": _COMPILED.format("PSAMask"),
    "OCRHead": _CASCADE,
    "PointHead": _CASCADE,
    "DDRHead": _BRANCHES.format("DDRNet"),
    "PIDHead": _BRANCHES.format("PIDNet"),
    "MaskFormerHead": _QUERIES,
    "Mask2FormerHead": _QUERIES,
    "IterativeDecodeHead": "is made of other heads' configurations and returns one output a stage, for a loss of its own",
    "KernelUpdateHead": "is a stage of IterativeDecodeHead, and no decoder by itself",
    "KernelUpdator": "is a layer of IterativeDecodeHead, and no decoder by itself",
    "SideAdapterCLIPHead": "reads the image and CLIP's features of image and text",
    "VPDDepthHead": "reads a diffusion model's features and gives one output between 0 and a greatest depth, whatever the task",
}


def head_row(name: str) -> Head:
    """Return the row of a decode head.

    Raises:
        UserError: there is none, and why; names the nearest.
    """
    if name in NOT_HERE:
        raise UserError(
            f"mmseg's {name} can't be a decoder here: it {NOT_HERE[name]}. Use another, such as UPerHead; all: "
            f"{', '.join(HEADS)}."
        )
    if name not in HEADS:
        raise UserError(f"There is no mmseg decode head {name!r} here. {choices(name, HEADS, most=len(HEADS))}")
    return HEADS[name]
