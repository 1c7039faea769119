"""What a backbone says of itself, read once from its attributes into a typed object.

A backbone is any `nn.Module`, so that an attribute may be missing, or mean something else in a class of your own. What
an attribute has to be is decided here and nowhere else: docs/extending.md is the table of these fields.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from geocompose.contracts import attributes
from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError
from geocompose.imagery.modalities import channel_places
from geocompose.imagery.pretraining import Pretraining

USUAL_SIZE = (224, 224)  # pixels: what a backbone without a size of its own is tried at; most were pretrained at it


def _row(kind: str, says: str, missing: str) -> Mapping[str, str]:
    """Return a field's row in the table for users: of what type the attribute is, what it says, what holds without."""
    return {"kind": kind, "says": says, "missing": missing}


@dataclass(frozen=True, kw_only=True)
class BackboneContract:
    """The attributes of a backbone, each of one type; None where it is missing or of another meaning.

    name: the class's name, of the backbone inside where PEFT has wrapped it. first_convolution: the channels that its
    first convolution takes; None where there is none, or where attributes say more. widths_by_modality: those of each
    modality's features, where `out_channels` is a mapping. The other fields are attributes, each with what it says.
    """

    name: str = ""
    first_convolution: int | None = None
    widths_by_modality: Mapping[str, tuple[int, ...]] | None = None
    out_channels: tuple[int, ...] | None = field(
        default=None,
        metadata=_row(
            "list of ints",
            "widths of its features, as many as it returns",
            "with `feature_specs`, theirs; else an error",
        ),
    )
    in_chans: int | None = field(
        default=None,
        metadata=_row("int", "channels of its image", "the number of `bands`, else what its first convolution takes"),
    )
    bands: tuple[str, ...] | None = field(
        default=None,
        metadata=_row(
            "list of texts", "names of its channels", "an image of another number of channels is refused, without names"
        ),
    )
    feature_specs: tuple[FeatureSpec, ...] | None = field(
        default=None,
        metadata=_row(
            "list of `FeatureSpec` (`geocompose.contracts.features`)",
            "one spec per feature; what `forward` returns is held to it",
            "seen in the shapes",
        ),
    )
    patch_size: int | None = field(
        default=None,
        metadata=_row(
            "int, or a list whose last counts",
            "pixels per token; needed with tokens of several frames",
            "the smallest patch that explains their number",
        ),
    )
    img_size: tuple[int, int] | None = field(
        default=None,
        metadata=_row("int, or rows and columns", "its image size in pixels", "any size; it is tried at 224"),
    )
    fixed_size: bool = field(
        default=False, metadata=_row("bool", "whether it takes images of `img_size` only", "it takes any size")
    )
    num_frames: int | None = field(
        default=None,
        metadata=_row(
            "int", "frames of its image (B, C, T, H, W)", "one; a series goes through with `temporal=mean`, ..."
        ),
    )
    counts_frames: bool = field(
        default=False,
        metadata=_row("bool", "whether its `forward` itself refuses a wrong number of frames", "the model refuses it"),
    )
    coords_encoding: tuple[str, ...] | None = field(
        default=None,
        metadata=_row(
            "list of `time`, `location`",
            "what its `forward` takes: `temporal_coords=None`, `location_coords=None`",
            "dates and positions are refused",
        ),
    )
    out_indices: tuple[int, ...] | None = field(
        default=None,
        metadata=_row("list of ints", "which of its layers its features are", "needed with `select_layers`"),
    )
    select_layers: Callable[[Sequence[int]], None] | None = field(
        default=None,
        metadata=_row(
            "method of a list of ints", "has it return only these of `out_indices`", "necks select among all features"
        ),
    )
    maps_by_default: bool = field(
        default=False,
        metadata=_row("bool", "whether its tokens become maps with `neck=none`", "tokens go on as they are"),
    )
    pad_multiple: int = field(
        default=1,
        metadata=_row(
            "int", "images are padded to a multiple of it, beside its features' cells", "1: the features' cells suffice"
        ),
    )
    pretraining: Pretraining | None = field(
        default=None,
        metadata=_row(
            "`Pretraining` (`geocompose.imagery.pretraining`)",
            "bands, unit, level, mean and deviation that its weights have seen",
            "nothing is checked against the data",
        ),
    )
    published: Pretraining | None = field(
        default=None,
        metadata=_row(
            "`Pretraining`",
            "what the published weights have seen, where its own are random",
            "`data.normalize=pretraining` needs weights",
        ),
    )
    weights: Mapping[str, object] | None = field(
        default=None,
        metadata=_row("mapping of texts", "where its weights come from, for record.json", "recorded as random"),
    )
    random_inputs: tuple[str, ...] = field(
        default=(),
        metadata=_row(
            "list of texts",
            "names of its parameters with filters of bands that its pretrained weights lack; they learn although the "
            "backbone is frozen",
            "a frozen backbone learns nothing",
        ),
    )
    modalities: Mapping[str, tuple[str, ...]] | None = field(
        default=None,
        metadata=_row(
            "mapping of names to lists of bands",
            "the bands of each modality; its `forward` takes a mapping of images",
            "it takes one image",
        ),
    )
    merge_modalities: str | None = field(
        default=None,
        metadata=_row(
            "`concat`, `mean` or `max`",
            "how the features that its `forward` returns by modality become one list",
            "such features are refused",
        ),
    )
    readers: tuple[tuple["BackboneContract", tuple[str, ...]], ...] = field(
        default=(),
        metadata=_row(
            "list of (module, bands)", "the backbones that it is made of, each with the bands that it reads", "itself"
        ),
    )

    @property
    def channels(self) -> int:
        """How many channels its stacked image has.

        Raises:
            UserError: nothing says it.
        """
        known = self.known_channels
        if known is None:
            raise UserError(
                f"The backbone {self.name} doesn't say how many channels it takes: give it an attribute in_chans (an "
                "int)."
            )
        return known

    @property
    def known_channels(self) -> int | None:
        """How many channels its stacked image has, or None where nothing says it."""
        if self.in_chans is not None:
            return self.in_chans
        if self.bands is not None:
            return len(self.bands)
        if self.modalities is not None:
            return len({band for listed in self.modalities.values() for band in listed})
        return self.first_convolution

    @property
    def widths(self) -> list[int]:
        """The widths of its features.

        Raises:
            UserError: neither `out_channels` nor `feature_specs` says them.
        """
        if self.out_channels is not None:
            return list(self.out_channels)
        if self.feature_specs is not None:
            return [spec.channels for spec in self.feature_specs]
        raise attributes.no_widths(self.name, self.widths_by_modality)

    @property
    def frames(self) -> int:
        """How many frames an image of it has."""
        return 1 if self.num_frames is None else self.num_frames

    @property
    def own_size(self) -> tuple[int, int]:
        """Rows and columns of its own image size, else the usual ones."""
        return self.img_size or USUAL_SIZE

    @property
    def coordinates(self) -> tuple[str, ...]:
        """The coordinates that it takes, of `time` and `location`."""
        return self.coords_encoding or ()

    @property
    def places(self) -> dict[str, list[int]] | None:
        """The channels of each modality in the stacked image, None for a backbone of one image.

        Raises:
            UserError: `modalities` names a band that `bands` lacks.
        """
        return None if self.modalities is None else channel_places(self.modalities, self.bands, backbone=self.name)

    @property
    def known(self) -> Pretraining | None:
        """What its weights have seen, or what the published ones have where they are random."""
        return self.pretraining or self.published

    def parts(self, bands: Sequence[str]) -> list[tuple["BackboneContract", list[str]]]:
        """Return the backbones that it is made of, each with the bands that it reads; itself with `bands` for one."""
        return [(part, list(own)) for part, own in self.readers] or [(self, list(bands))]

    def seen(self, bands: Sequence[str]) -> list[tuple[Pretraining | None, list[str]]]:
        """Return what the weights of each part have seen, None for random ones, with the bands that it reads."""
        return [(part.pretraining, own) for part, own in self.parts(bands)]

    def known_of(self, bands: Sequence[str]) -> list[tuple[Pretraining | None, list[str]]]:
        """Return what `seen` does, with what is published of a part whose weights are random."""
        return [(part.known, own) for part, own in self.parts(bands)]


def contract_of(module: nn.Module) -> BackboneContract:
    """Return what a backbone says of itself now; a selection of layers changes it.

    A wrapper that hands attributes on, as PEFT's does, is read like the backbone inside.

    Raises:
        UserError: an attribute is not what it has to be; says which, and what to write. `in_chans`, `bands`,
            `pretraining`, `published`, `weights`, `out_indices` and `readers` may mean something else in a class of
            your own, and are passed over then.
    """
    name = attributes.class_name(module)

    def read(attribute: str) -> Any:
        return getattr(module, attribute, None)

    in_chans, bands = attributes.number(read("in_chans")), attributes.texts(read("bands"))
    modalities = attributes.modalities(name, read("modalities"))
    says_channels = in_chans is not None or bands is not None or modalities is not None
    select_layers = read("select_layers")
    by_modality = attributes.widths_by_modality(name, read("out_channels"))
    return BackboneContract(
        name=name,
        first_convolution=None if says_channels else attributes.first_convolution(module),
        out_channels=None if by_modality else attributes.widths(name, read("out_channels")),
        widths_by_modality=by_modality,
        in_chans=in_chans,
        bands=bands,
        feature_specs=attributes.specs(name, read("feature_specs")),
        patch_size=attributes.patch(read("patch_size")),
        img_size=attributes.size(name, read("img_size")),
        fixed_size=bool(read("fixed_size")),
        num_frames=attributes.count(name, "num_frames", read("num_frames")),
        counts_frames=bool(read("counts_frames")),
        coords_encoding=attributes.coordinates(name, read("coords_encoding")),
        out_indices=attributes.numbers(read("out_indices")),
        select_layers=select_layers if callable(select_layers) else None,
        maps_by_default=bool(read("maps_by_default")),
        pad_multiple=attributes.count(name, "pad_multiple", read("pad_multiple")) or 1,
        pretraining=attributes.pretraining(read("pretraining")),
        published=attributes.pretraining(read("published")),
        weights=attributes.weights(read("weights")),
        random_inputs=attributes.parameters(name, read("random_inputs")),
        modalities=modalities,
        merge_modalities=attributes.merging(name, read("merge_modalities")),
        readers=_readers(read("readers")),
    )


def _readers(value: object) -> tuple[tuple[BackboneContract, tuple[str, ...]], ...]:
    if not isinstance(value, list | tuple):
        return ()
    pairs = [pair for pair in value if isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], nn.Module)]
    return tuple((contract_of(part), tuple(bands)) for part, bands in pairs) if len(pairs) == len(value) else ()
