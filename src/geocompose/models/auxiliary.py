"""Decoders beside the main one, whose losses help to train the backbone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from geocompose.errors import UserError, choices


@dataclass(frozen=True)
class AuxiliaryHead:
    """An auxiliary decoder with its head, as a caller describes it.

    name: how outputs and losses call it. decoder: a registered name, a module or a constructor. decoder_args: arguments
    of its decoder and of its head, with the prefixes decoder_ and head_; the main head's arguments are not its own.
    """

    name: str
    decoder: Any
    decoder_args: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class AuxiliaryDecoders:
    """Auxiliary decoders as a configuration lists them: mappings with the fields of `AuxiliaryHead`."""

    decoders: list[dict[str, object]] = field(default_factory=list)


def auxiliary_heads(given: object) -> list[AuxiliaryHead]:
    """Return what `build_model(aux_decoders=...)` means.

    given: null, or a list of `AuxiliaryHead` or of mappings with its fields.

    Raises:
        UserError: it is neither, a field is unknown, missing or of another type, or a name can't be used.
    """
    if given is None:
        return []
    listed = given.decoders if isinstance(given, AuxiliaryDecoders) else given
    if isinstance(listed, str | Mapping) or not isinstance(listed, Iterable):
        raise UserError(
            f"aux_decoders must be a list of AuxiliaryHead(name, decoder, decoder_args), or null; got {given!r}."
        )
    heads = [item if isinstance(item, AuxiliaryHead) else _from_mapping(item) for item in listed]
    names = [head.name for head in heads]
    for name in names:
        if not isinstance(name, str) or not name or "." in name:
            raise UserError(f"An auxiliary decoder's name must be text without dots; got {name!r}.")
        if hasattr(nn.ModuleDict(), name):
            raise UserError(
                f"An auxiliary decoder can't be called {name!r}, which torch's ModuleDict has a use for. Choose "
                "another."
            )
        if names.count(name) > 1:
            raise UserError(f"Two auxiliary decoders are called {name!r}; give each its own name.")
    for head in heads:
        args = head.decoder_args
        if args is not None and (not isinstance(args, Mapping) or not all(isinstance(key, str) for key in args)):
            raise UserError(
                f"The auxiliary decoder {head.name}: decoder_args must be a mapping such as {{decoder_channels: 64}}, "
                f"or null; got {args!r}."
            )
    return heads


def _from_mapping(item: object) -> AuxiliaryHead:
    fields = ("name", "decoder", "decoder_args")
    if not isinstance(item, Mapping):
        raise UserError(
            "An auxiliary decoder must be an AuxiliaryHead, or a mapping such as {name: aux, decoder: FCNDecoder}; got "
            f"{item!r}."
        )
    for key in item:
        if key not in fields:
            raise UserError(f"An auxiliary decoder has no field {key!r}. {choices(str(key), fields)}")
    for key in fields[:2]:
        if key not in item:
            raise UserError(
                f"The auxiliary decoder {dict(item)!r} has no {key}; write {{name: aux, decoder: FCNDecoder}}."
            )
    return AuxiliaryHead(item["name"], item["decoder"], item.get("decoder_args"))
