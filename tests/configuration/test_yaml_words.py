"""Words that YAML turns into something else: answered with how to write them, wherever texts are listed."""

import pytest
import yaml
from omegaconf import OmegaConf

from geocompose.configuration.checking import check_node
from geocompose.errors import UserError

SEGMENTATION = "geocompose.data.sources.GeoTiffSegmentation"


def checked(target: str, text: str) -> dict:
    node = OmegaConf.to_container(OmegaConf.create(yaml.safe_dump({"_target_": target}) + text))
    return check_node("data", node)


@pytest.mark.parametrize(
    ("text", "where", "remedy"),
    [
        ("class_names: [no, yes]", r"data\.class_names\[0\] must be text; got false", r'quotes \("no"\)'),
        ("class_names: ['no', yes]", r"data\.class_names\[1\] must be text; got true", r'quotes \("yes"\)'),
        ("class_names: [on, off]", r"data\.class_names\[0\] must be text; got true", "quotes"),
        ("class_names: [land, null]", r"data\.class_names\[1\] must be text; got null", r'quotes \("null"\)'),
        ("class_names: [land, ]\nband_names: [B1, ~]", r"data\.band_names\[1\] must be text; got null", "take it out"),
        ("bands: [off]", r"data\.bands\[0\] must be text; got false", "quotes"),
        ("split_rename: {no: a}", r"data\.split_rename \(the key false\) must be text", "quotes"),
        ("split_files: {train: no}", r"data\.split_files\.train must be text; got false", "quotes"),
        ("name: no", r"data\.name takes text; got false", r'quotes \("no"\)'),
    ],
)
def test_a_word_that_yaml_reads_as_no_text_is_answered_with_its_remedy(text: str, where: str, remedy: str) -> None:
    with pytest.raises(UserError, match=f"{where}.*{remedy}"):
        checked(SEGMENTATION, text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('class_names: ["no", "yes"]', ["no", "yes"]),
        ("class_names: [1, 2]", ["1", "2"]),
        ("class_names: [2020-01-01, 2021-01-01]", ["2020-01-01", "2021-01-01"]),
    ],
)
def test_quoted_words_numbers_and_dates_are_names(text: str, names: list[str]) -> None:
    assert checked(SEGMENTATION, text)["class_names"] == names
