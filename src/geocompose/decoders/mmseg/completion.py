"""How the arguments of mmsegmentation's decode heads are completed from the widths and strides of the features."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import log2
from typing import Any

from geocompose.contracts.needs import feature_at
from geocompose.decoders.foreign import Strides, shown
from geocompose.errors import UserError

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What a head is built for.

    head: its name. own: its arguments beside those of every head. pyramid: whether it reads levels, finest first.
    widths, strides: of the features. given: the arguments that a user gave.
    """

    head: str
    own: Sequence[str]
    pyramid: bool
    widths: list[int]
    strides: Strides
    given: Arguments


def _indices(asked: Request) -> list[int]:
    """Return the features that a head of several reads: those given, else all."""
    wanted = asked.given.get("in_index")
    if wanted is None:
        return list(range(len(asked.widths)))
    if isinstance(wanted, int):
        raise UserError(
            f"mmseg {asked.head}: in_index must be a list of the features that it reads, such as [0, 1], or null; "
            f"got {wanted}."
        )
    for index in wanted:
        feature_at(asked.widths, index, f"mmseg {asked.head}")
    return wanted


def one(asked: Request) -> Arguments:
    """Complete the arguments of a head that reads one feature, or several joined."""
    index, joined = asked.given.get("in_index", -1), asked.given.get("input_transform") is not None
    if not isinstance(index, int) and "input_transform" not in asked.own:
        raise UserError(
            f"mmseg {asked.head}: in_index must be the number of the one feature that it reads; got {index}."
        )
    if isinstance(index, int) is joined:
        raise UserError(
            f"mmseg {asked.head}: in_index must be one number, or a list with input_transform=resize_concat; "
            f"got {index} with input_transform={asked.given.get('input_transform') or 'null'}."
        )
    read: int | list[int] = (
        feature_at(asked.widths, index, f"mmseg {asked.head}")
        if isinstance(index, int)
        else [feature_at(asked.widths, each, f"mmseg {asked.head}") for each in index]
    )
    total = read if isinstance(read, int) else sum(read)
    if asked.given.get("num_convs") == 0 and "dw_act_cfg" in asked.own:
        raise UserError(f"mmseg {asked.head}: num_convs must be a whole number, 1 or more; got 0.")
    if asked.given.get("num_convs") == 0 and "concat_input" in asked.own and total != asked.given["channels"]:
        raise UserError(
            f"mmseg {asked.head}: with num_convs=0 the feature goes on as it is, so channels must be its width, "
            f"{total}; got {asked.given['channels']}."
        )
    return {**asked.given, "in_channels": read, "in_index": index}


def many(asked: Request) -> Arguments:
    """Complete the arguments of a head that reads a list of features, and says so itself."""
    indices = _indices(asked)
    places = [index % len(asked.widths) for index in indices]
    if asked.pyramid and places != sorted(set(places)):
        raise UserError(
            f"mmseg {asked.head}: in_index names levels of a pyramid once each, finest first, such as "
            f"{sorted(set(places))}; got {indices}."
        )
    return {**asked.given, "in_channels": [asked.widths[index] for index in indices], "in_index": indices}


def fpn(asked: Request) -> Arguments:
    """Complete the arguments of a head that doubles each level until it is as fine as the first."""
    arguments = many(asked)
    known = asked.given.get("feature_strides")
    if asked.strides is None:
        if known is None or len(known) != len(arguments["in_index"]):
            raise UserError(
                f"mmseg {asked.head}: give feature_strides, one for each of the {len(arguments['in_index'])} features, "
                "such as [4, 8, 16, 32]."
            )
        return arguments
    read = [Fraction(asked.strides[index]) for index in arguments["in_index"]]
    if known is not None and [Fraction(stride) / known[0] for stride in known] != [stride / read[0] for stride in read]:
        raise UserError(
            f"mmseg {asked.head}: feature_strides follows from the features and is {shown(read)} here; got {known}. "
            "Leave it out."
        )
    # Only how often each level is doubled to be as fine as the first matters, and what is left is resized.
    return {**arguments, "feature_strides": [2 ** max(0, round(log2(stride / read[0]))) for stride in read]}


def scaled(asked: Request) -> Arguments:
    """Complete the arguments of a head whose inner width is that of all its branches together."""
    arguments = many(asked)
    # Each feature has a branch, 128 wide unless mla_channels says otherwise; `channels` is all of them joined.
    mla_channels = asked.given.get("mla_channels", 128)
    return {**arguments, "mla_channels": mla_channels, "channels": len(arguments["in_index"]) * mla_channels}


def dpt(asked: Request) -> Arguments:
    """Complete the arguments of a head that reads four features of one width."""
    arguments = many(asked)
    read = arguments["in_channels"]
    if len(read) != 4 or len(set(read)) > 1:
        raise UserError(
            f"mmseg {asked.head} reads four features of one width; it gets {read} channels. Use neck=auto, or end the "
            "necks with SelectIndices and ProjectChannels."
        )
    return {**arguments, "embed_dims": read[0], "input_transform": "multiple_select"}


def ann(asked: Request) -> Arguments:
    """Complete the arguments of a head that reads two features, the last two by default."""
    if len(asked.widths) < 2:
        raise UserError(f"mmseg {asked.head} reads two features; it gets {len(asked.widths)}.")
    arguments = many(replace(asked, given={"in_index": [-2, -1], **asked.given}))
    if len(arguments["in_index"]) != 2:
        raise UserError(
            f"mmseg {asked.head} reads two features, such as in_index=[-2, -1]; got {arguments['in_index']}."
        )
    return arguments


def enc(asked: Request) -> Arguments:
    """Complete the arguments of a head that reads the last feature, or all with `add_lateral`."""
    # Without its lateral connections it reads the last alone.
    default = {} if asked.given.get("add_lateral") else {"in_index": [-1]}
    return {**many(replace(asked, given={**default, **asked.given})), "use_se_loss": False}


def lraspp(asked: Request) -> Arguments:
    """Complete the arguments of a head with one branch for each feature but the last."""
    arguments = many(asked)
    count = len(arguments["in_index"]) - 1
    # By default as wide as in lraspp_m-v3-d8: 32 for the finest, 64 for each other.
    branches = asked.given.get("branch_channels", [32, *[64] * (count - 1)])
    if count < 2:
        raise UserError(f"mmseg {asked.head} reads three features or more; it gets {count + 1}.")
    if len(branches) != count:
        raise UserError(
            f"mmseg {asked.head}: branch_channels has one width per feature before the last: {count} here, "
            f"got {branches}. Or null."
        )
    return {**arguments, "branch_channels": tuple(branches), "input_transform": "multiple_select"}


def deeplab(asked: Request) -> Arguments:
    """Complete the arguments of a head that joins the first feature to the last."""
    return {**one(asked), "c1_in_channels": asked.widths[0] if asked.given["c1_channels"] else 0}


def segmenter(asked: Request) -> Arguments:
    """Complete the arguments of a transformer over the cells of one feature."""
    if asked.given["embed_dims"] % asked.given["num_heads"]:
        raise UserError(
            f"mmseg {asked.head}: embed_dims must be a multiple of num_heads; got {asked.given['embed_dims']} and "
            f"{asked.given['num_heads']}."
        )
    return {**one(asked), "channels": asked.given["embed_dims"]}


def ham(asked: Request) -> Arguments:
    """Complete the arguments of a head that factorises all its features together."""
    # mmseg draws the bases anew at every call, so that one image would get another map each time.
    ham = {"rand_init": False, **asked.given.get("ham_kwargs", {})}
    width = asked.given.get("ham_channels", 512)
    if width % ham.get("MD_S", 1):
        raise UserError(
            f"mmseg {asked.head}: ham_channels must be a multiple of ham_kwargs.MD_S; got {width} and {ham['MD_S']}."
        )
    return {**many(asked), "ham_kwargs": ham}
