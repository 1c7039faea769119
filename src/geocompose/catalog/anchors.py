"""Published results that runs can be held against: values, sources, and why a run of ours may differ. Free of torch.

An anchor pins split, resolution and metric, since published values for one model and data set differ by more than eight
points through these alone. Its experiment, an option of `experiment`, says the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# Over the segmentation cells of GEO-Bench-2 (arXiv 2511.15658) the median deviation between seeds is 0.70 points. So
# two single runs of one recipe differ by less than 2 * 0.70 * sqrt(2) = 2.0 points in 95 of 100 cases.
TOLERANCE = 0.02

_PANGAEA = "arXiv 2412.04204, table 5"
_GEO_BENCH_2 = "arXiv 2511.15658, its runs' results per seed"
_PEFT_PAPER = "arXiv 2504.17397, its public results"
_CARD = "model card of Prithvi-EO-1.0-100M-sen1floods11"


@dataclass(frozen=True)
class Anchor:
    """A published result.

    experiment: the option of `experiment` that composes it. choices: further options that have to be typed or chosen.
    metric, value: as records have it, such as `test/mIoU`, from 0 to 1. spread: the published standard deviation over
    `seeds` runs; None where none is published. source: where it stands. second_hand: whether we have it from a
    transcription. reasons: why our runs may differ from it. searched: keys that may be given, since their values were
    searched for the published result.
    """

    experiment: str
    metric: str
    value: float
    source: str
    seeds: int | None
    reasons: tuple[str, ...]
    choices: Mapping[str, str]
    spread: float | None = None
    second_hand: bool = False
    searched: tuple[str, ...] = ()

    @property
    def tolerance(self) -> float:
        """How far the mean of our runs may be off for the result to count as reproduced."""
        return max(TOLERANCE, 2 * (self.spread or 0.0))

    @property
    def name(self) -> str:
        """What to call it: the experiment, and the options that tell it from others of the same one."""
        told = " ".join(f"{group}={option}" for group, option in self.choices.items())
        return f"{self.experiment.removeprefix('anchor/')} {told}".strip()


_SEARCHED = "the published rate was searched for this model and data set; ours is the middle of such searches"
_WINDOWS = "test windows overlap otherwise"
_RECIPE = "the recipe behind it is not in what we have read"
_BURN_SPLIT = "which chips its splits hold is not in what we have read; ours are PANGAEA's"
_NO_DATA = "pixels without data count there, and not here"
_BOLIVIA = "15 chips of one event: a few of them decide"


def _pangaea(experiment: str, backbone: str, value: float, *reasons: str) -> Anchor:
    return Anchor(
        f"anchor/pangaea_{experiment}", "test/scene_mIoU_all", value, _PANGAEA, 1, (*reasons, _WINDOWS, _NO_DATA),
        {"backbone": backbone}, second_hand=True,
    )  # fmt: skip


def _peft(data: str, method: str, value: float, spread: float | None = None, *reasons: str) -> Anchor:
    return Anchor(
        f"anchor/peft_paper_{data}", "test/mIoU_union", value, _PEFT_PAPER, None, (_SEARCHED, *reasons),
        {"backbone": "prithvi_eo_v2_300", "peft": method}, spread, searched=("optimizer.lr",),
    )  # fmt: skip


def _geo_bench_2(backbone: str, method: str, value: float) -> Anchor:
    return Anchor(
        "anchor/geobench2_burn_scars", "test/mIoU_union", value, _GEO_BENCH_2, 5,
        (_SEARCHED, _BURN_SPLIT, "its epochs, batch size and augmentation are not in what we have read"),
        {"backbone": backbone, "peft": method}, searched=("optimizer.lr",),
    )  # fmt: skip


def _card(data: str, value: float, *reasons: str) -> Anchor:
    return Anchor(
        f"anchor/prithvi_card_{data}", "test/mIoU", value, _CARD, 1, (_RECIPE, *reasons),
        {"backbone": "prithvi_eo_v1_100", "peft": "none"},
    )  # fmt: skip


_OWN_UNET = "its U-Net is another one; ours is that of smp with the encoder VGG13, from scratch"

ANCHORS: tuple[Anchor, ...] = (
    _pangaea("burn_scars", "prithvi_eo_v1_100", 0.8362),
    _pangaea("burn_scars_unet", "smp_vgg13", 0.8451, _OWN_UNET),
    _pangaea("sen1floods11", "prithvi_eo_v1_100", 0.9037),
    _pangaea(
        "sen1floods11_unet", "smp_vgg13", 0.9142, _OWN_UNET, "which bands it is given is not in what we have read"
    ),
    _geo_bench_2("prithvi_eo_v2_300_tl", "none", 0.884),
    _geo_bench_2("prithvi_eo_v2_600_tl", "none", 0.888),
    _geo_bench_2("prithvi_eo_v2_600_tl", "frozen", 0.886),
    _peft("sen1floods11", "frozen", 0.8808),
    _peft("sen1floods11", "vpt_deep", 0.8931),
    _peft("sen1floods11", "lora", 0.9004),
    _peft("sen1floods11", "none", 0.9013),
    _peft("bolivia", "lora", 0.876, 0.008, _BOLIVIA),
    _peft("bolivia", "none", 0.821, 0.020, _BOLIVIA),
    _peft("burn_scars", "frozen", 0.8390, None, _BURN_SPLIT),
    _peft("burn_scars", "vpt_deep", 0.9216, None, _BURN_SPLIT),
    _peft("burn_scars", "lora", 0.9333, None, _BURN_SPLIT),
    _peft("burn_scars", "none", 0.9285, None, _BURN_SPLIT),
    _card("sen1floods11", 0.8868),
    _card("bolivia", 0.8666, _BOLIVIA),
)
