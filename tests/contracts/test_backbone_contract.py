"""What a backbone says of itself, as the rest of the package reads it; the table for users is that of its fields."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from geocompose.contracts.backbone import BackboneContract, contract_of
from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError
from geocompose.imagery.pretraining import Pretraining
from tests.kit.places import ROOT

COLUMNS = ("kind", "says", "missing")
SEEN = Pretraining(("RED",), "reflectance_1e4")


class Says(nn.Module):
    """A backbone with the attributes that it is given."""

    def __init__(self, **attributes):
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)


def rows() -> list[str]:
    """Return the table's rows as the fields of the contract say them."""
    fields = [field for field in dataclasses.fields(BackboneContract) if field.metadata]
    return [f"| `{each.name}` | {' | '.join(each.metadata[key] for key in COLUMNS)} |" for each in fields]


def test_the_table_for_users_is_that_of_the_fields():
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    table = page[page.index("| attribute |") :]
    assert table[: table.index("\n\n")].splitlines()[2:] == rows()


def test_every_field_is_read_from_the_attribute_of_its_name():
    said = {
        "out_channels": [8, np.int64(16)], "in_chans": 2, "bands": ["RED", "B8A"], "feature_specs": [FeatureSpec(8,
            Fraction(7, 2))],
        "patch_size": (1, 14, 14), "img_size": 56, "fixed_size": True, "num_frames": 3, "counts_frames": True,
        "coords_encoding": ["time"], "out_indices": [3, 7], "select_layers": lambda indices: None,
        "maps_by_default": True,
        "pad_multiple": 28, "pretraining": SEEN, "published": SEEN, "weights": {"source": "here"},
        "random_inputs": ["conv.weight"],
        "modalities": {"optical": ["RED"], "more": ["NIR_NARROW"]}, "merge_modalities": "max",
        "readers": [(Says(in_chans=1), ["RED"])],
    }  # fmt: skip
    contract = contract_of(Says(**said))
    attributes = {field.name for field in dataclasses.fields(BackboneContract) if field.metadata}
    assert set(said) == attributes
    assert (contract.out_channels, contract.widths, contract.patch_size) == ((8, 16), [8, 16], 14)
    assert (contract.img_size, contract.own_size, contract.frames) == ((56, 56), (56, 56), 3)
    assert contract.places == {"optical": [0], "more": [1]}
    assert contract.seen(["RED", "B8A"]) == [(None, ["RED"])]
    missing = BackboneContract()
    assert all(getattr(contract, name) != getattr(missing, name) for name in attributes)


def test_a_backbone_that_says_nothing_is_asked_for_what_is_needed_alone():
    contract = contract_of(nn.Identity())
    assert dataclasses.replace(contract, name="") == BackboneContract()
    assert (contract.frames, contract.own_size, contract.coordinates, contract.places) == (1, (224, 224), (), None)
    assert contract.seen(["RED"]) == [(None, ["RED"])]
    with pytest.raises(UserError, match=r"The backbone Identity .* give it an attribute in_chans"):
        _ = contract.channels
    with pytest.raises(UserError, match="The backbone Identity has no out_channels"):
        _ = contract.widths


def test_widths_by_modality_are_no_list_of_widths():
    contract = contract_of(Says(out_channels={"optical": [8, 16], "sar": (4, 8)}))
    assert contract.widths_by_modality == {"optical": (8, 16), "sar": (4, 8)}
    with pytest.raises(UserError, match=r"has out_channels=\{'optical'"):
        _ = contract.widths


@pytest.mark.parametrize(
    ("attributes", "channels"),
    [
        ({"in_chans": 5, "bands": ["RED"]}, 5),
        ({"in_chans": "five", "bands": ["RED", "GREEN"]}, 2),
        ({"bands": "RED", "modalities": {"optical": ["RED", "GREEN"], "sar": ["VV", "RED"]}}, 3),
        ({"bands": 7, "conv": nn.Sequential(nn.ReLU(), nn.Conv2d(4, 8, 3))}, 4),
        ({"in_chans": True, "conv": nn.Conv3d(6, 8, 3)}, 6),
    ],
)
def test_channels_are_those_of_the_first_attribute_that_says_them(attributes, channels):
    assert contract_of(Says(**attributes)).channels == channels


@pytest.mark.parametrize(
    "attributes",
    [
        {"weights": torch.zeros(3)},
        {"weights": {}},
        {"pretraining": True},
        {"published": "2024"},
        {"readers": ["a", "b"]},
        {"out_indices": "last"},
        {"bands": "RED"},
        {"patch_size": "large"},
        {"select_layers": [1, 2]},
    ],
)
def test_an_attribute_of_another_meaning_is_passed_over(attributes):
    assert dataclasses.replace(contract_of(Says(**attributes)), name="") == BackboneContract()


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"out_channels": 8}, "has out_channels=8: give it a list of its features' widths"),
        ({"random_inputs": True}, "has random_inputs=True; it is a list of names of its parameters"),
        ({"out_channels": ["8"]}, r"has out_channels=\['8'\]"),
        ({"feature_specs": [8]}, r"has feature_specs=\[8\]; they are a list of FeatureSpec"),
        ({"img_size": "large"}, "has img_size='large'; it is a number of pixels, or rows and columns"),
        ({"img_size": [1, 2, 3]}, r"has img_size=\[1, 2, 3\]"),
        ({"num_frames": "four"}, "has num_frames='four'; it is a whole number, 1 or more"),
        ({"num_frames": 0}, "has num_frames=0"),
        ({"pad_multiple": 1.5}, "has pad_multiple=1.5"),
        ({"coords_encoding": "time"}, "has coords_encoding='time'; it is a list of 'time', 'location', or both"),
        ({"merge_modalities": "sum"}, "has merge_modalities='sum'. .*concat, mean, max"),
        ({"out_channels": {"optical": []}}, "has out_channels={'optical': \\[\\]}"),
        ({"modalities": ["optical"]}, r"has modalities=\['optical'\]; they are a mapping of names to lists of bands"),
    ],
)
def test_an_attribute_that_only_a_backbone_has_is_refused_with_what_it_has_to_be(attributes, message):
    with pytest.raises(UserError, match=f"The backbone Says {message}"):
        contract_of(Says(**attributes))


def test_the_backbone_inside_pefts_model_gives_the_name_and_the_attributes():
    peft = pytest.importorskip("peft")

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.bands, self.out_channels, self.dense = ["RED"], [4], nn.Linear(4, 4)

    wrapped = peft.get_peft_model(Small(), peft.LoraConfig(target_modules=["dense"]))
    contract = contract_of(wrapped)
    assert (contract.name, contract.bands, contract.widths) == ("Small", ("RED",), [4])
