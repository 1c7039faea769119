"""Groups of images, such as those of one event, stay within one split."""

import pytest

from geocompose.data.files.groups import groups_of
from geocompose.data.split import SPLITS
from geocompose.errors import UserError
from geocompose.runs.fingerprint import fingerprint
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import arguments, pair
from tests.kit.labelled_images import flat, from_table, ready, table

EVENTS = {"ghana": 7, "india": 4, "spain": 3, "usa": 3, "peru": 2, "mali": 1}


def events(root, sizes=EVENTS):
    for e, (event, count) in enumerate(sizes.items()):
        for i in range(count):
            pair(root, f"{event}_{i}", 100 * e + i)
    return root


def of(root, **changes):
    return geotiff(**arguments(root, **changes))


def splits_of_groups(data):
    found = {}
    for split in SPLITS:
        for region in data.regions[split]:
            found.setdefault(data.groups[region.scene], set()).add(split)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_in_one_split_and_the_shares_are_near(tmp_path, seed):
    data = of(events(tmp_path), groups="{group}_*.tif", seed=seed)
    found = splits_of_groups(data)
    assert set(found) == set(EVENTS)
    assert all(len(splits) == 1 for splits in found.values())
    sizes = [len(data.regions[split]) for split in SPLITS]
    assert all(abs(size - share) <= 2 for size, share in zip(sizes, (12, 4, 4), strict=True)), sizes


def test_the_draw_depends_on_the_seed_and_the_groups_alone(tmp_path):
    root = events(tmp_path, dict.fromkeys("abcdefgh", 2))
    draws = [splits_of_groups(of(root, groups="{group}_*.tif", seed=seed)) for seed in (0, 0, 1, 2, 3)]
    assert draws[0] == draws[1]
    assert any(draw != draws[0] for draw in draws)


def test_a_record_says_how_many_groups_a_split_has(tmp_path):
    data = ready(of(events(tmp_path, dict.fromkeys("abc", 2)), groups="{group}_*.tif"))
    assert {split: part["groups"] for split, part in data.describe()["splits"].items()} == dict.fromkeys(SPLITS, 1)
    plain = ready(of(tmp_path))
    assert plain.groups is None
    assert "groups" not in plain.describe()["splits"]["train"]


def test_a_table_and_a_column_say_the_groups(tmp_path):
    root = events(tmp_path, dict.fromkeys("abc", 2))
    rows = [(f"{event}_{i}_img.tif", "north" if event == "a" else event) for event in "abc" for i in range(2)]
    before = fingerprint(of(root)._source.input_files, root)
    table(root, ("file", "group"), *rows, name="events.csv")
    data = of(root, groups="events.csv")
    assert set(splits_of_groups(data)) == {"north", "b", "c"}
    assert fingerprint(data._source.input_files, root) != before
    root = table(
        flat(tmp_path / "t"), ("file", "label", "site"), *[(f"chip_{i}", "ab"[i % 2], i // 2) for i in range(6)]
    )
    assert set(splits_of_groups(from_table(root, groups="site"))) == {"0", "1", "2"}


def test_lists_and_folders_that_break_a_group_are_refused(tmp_path):
    root = events(tmp_path, dict.fromkeys("abc", 2))
    for split, names in zip(SPLITS, (["a_0", "a_1"], ["b_0", "b_1", "c_0"], ["c_1"]), strict=True):
        (root / f"{split}.txt").write_text("\n".join(names))
    lists = {split: f"{split}.txt" for split in SPLITS}
    with pytest.raises(UserError, match=r"group 'c' is in val \(c_0_img.tif\) and in test \(c_1_img.tif\)"):
        of(root, split_files=lists, groups="{group}_*.tif")
    (root / "val.txt").write_text("b_0\nb_1")
    (root / "test.txt").write_text("c_0\nc_1")
    assert len(splits_of_groups(of(root, split_files=lists, groups="{group}_*.tif"))) == 3


@pytest.mark.parametrize(
    ("pattern", "group"),
    [
        ("{group}_*.tif", "S2"),
        ("*_{group}_*.tif", "Ghana"),
        ("*/{group}/*.tif", "2019"),
        ("**/{group}/*", "2019"),
        ("{group}/**/*", "africa"),
        ("S[0-9]_{group}_?*.tif", "Ghana"),
    ],
)
def test_a_pattern_takes_the_shortest_text_that_fits(pattern, group):
    assert groups_of(["africa/2019/S2_Ghana_12_a.tif"], pattern, None) == [group]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("{group}-*.tif", r"does not match the image a_0_img\.tif"),
        ("{group}_{group}.tif", "once"),
        ("event", "pattern with {group}"),
        ("events.csv", "does not exist"),
        ("{group}*_*_img.tif", None),
    ],
)
def test_groups_that_say_nothing_are_refused(tmp_path, groups, message):
    root = events(tmp_path, dict.fromkeys("abc", 2))
    if message is None:
        of(root, groups=groups)
        return
    with pytest.raises(UserError, match=message):
        of(root, groups=groups)


def test_too_few_groups_and_a_single_raster_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"makes 2 of .*\(a, b\).*at least one group"):
        of(events(tmp_path, {"a": 3, "b": 2}), groups="{group}_*.tif")
    with pytest.raises(UserError, match="there is one, which is split into blocks"):
        of(pair(tmp_path / "one", "a_0"), groups="{group}_*.tif")


def test_an_empty_cell_is_a_group_of_its_own_and_is_said(tmp_path, caplog):
    root = table(
        flat(tmp_path), ("file", "label", "site"), *[(f"chip_{i}", "ab"[i % 2], "x" * (i < 2)) for i in range(6)]
    )
    assert len(splits_of_groups(from_table(root, groups="site"))) == 5
    assert "has an empty cell for" in caplog.text
