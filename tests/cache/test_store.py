"""Features on disk: what is written is read back, and what is damaged is as if it were not there."""

import pickle

import numpy as np
import pytest
import torch

from geocompose.cache.store import FeatureStore
from geocompose.data.augmentation import VIEWS
from geocompose.data.drawn import Drawn
from geocompose.data.window import Region, Window
from geocompose.errors import UserError

WINDOWS = [Region(scene, Window(0, column, 32, 32)) for scene in (0, 1) for column in (0, 32)]
ITEMS = [Drawn(window, view) for window in WINDOWS for view in VIEWS[:2]]
LAYERS = {"layer_2": torch.float32, "layer_5": torch.bfloat16}


def features(seed=0, number=8):
    drawn = torch.Generator().manual_seed(seed)
    return [torch.randn(number, 5, 3, generator=drawn), torch.randn(number, 2, 4, generator=drawn).bfloat16()]


def store(folder, layers=LAYERS, dtype="fp32"):
    return FeatureStore(folder, layers, dtype)


def parts(folder):
    return [path for path in folder.glob("*/*.npy") if ".items" not in path.name]


def same(one, other):
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_what_is_written_is_read_back_by_another_process(tmp_path):
    written = features()
    store(tmp_path).write(ITEMS, written)
    read = store(tmp_path)
    assert read.missing(ITEMS) == []
    for reader in (read, pickle.loads(pickle.dumps(read))):
        for place, drawn in enumerate(ITEMS):
            assert same(reader.of(drawn), [layer[place] for layer in written])


def test_only_what_is_lacking_is_missing_once_and_in_order(tmp_path):
    store(tmp_path).write(ITEMS[2:4], features(number=2))
    assert store(tmp_path).missing([*ITEMS[:5], *ITEMS[:5]]) == [*ITEMS[:2], ITEMS[4]]


def test_layers_are_shared_among_selections_of_them(tmp_path):
    written = features()
    store(tmp_path).write(ITEMS, written)
    one = store(tmp_path, {"layer_5": torch.bfloat16})
    assert one.missing(ITEMS) == []
    assert same(one.of(ITEMS[3]), [written[1][3]])
    more = store(tmp_path, LAYERS | {"layer_9": torch.float32})
    assert more.missing(ITEMS) == ITEMS
    more.write(ITEMS, [*features(seed=1), torch.ones(len(ITEMS), 2)])
    assert more.missing(ITEMS) == []
    assert same(more.of(ITEMS[0])[:2], [layer[0] for layer in written]), "what is there is not written again"
    assert len(list(tmp_path.glob("layer_2/*.items.npy"))) == 1


@pytest.mark.parametrize("damage", ["a changed byte", "cut short", "its list cut short", "no list", "other numbers"])
def test_what_is_damaged_is_computed_again_and_then_read(tmp_path, damage, caplog):
    written = features()
    store(tmp_path).write(ITEMS, written)
    (listed,) = tmp_path.glob("layer_2/*.items.npy")
    part = listed.with_name(listed.name.replace(".items", ""))
    if damage == "a changed byte":
        raw = bytearray(part.read_bytes())
        raw[-1] ^= 1
        part.write_bytes(raw)
    elif damage == "cut short":
        part.write_bytes(part.read_bytes()[:-9])
    elif damage == "its list cut short":
        listed.write_bytes(listed.read_bytes()[:-9])
    elif damage == "no list":  # a process was killed between the two
        listed.unlink()
    else:
        np.save(part, np.zeros((len(ITEMS), 5, 3), dtype=np.float64))
    lacking = ITEMS[-1:] if damage == "a changed byte" else ITEMS
    damaged = store(tmp_path)
    assert damaged.missing(ITEMS) == lacking
    assert ("are computed again" in caplog.text) == (damage != "no list")
    places = [ITEMS.index(drawn) for drawn in lacking]
    damaged.write(lacking, [layer[places] for layer in written])
    for reader in (damaged, store(tmp_path)):
        assert reader.missing(ITEMS) == []
        assert all(same(reader.of(drawn), [layer[place] for layer in written]) for place, drawn in enumerate(ITEMS))


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    written = features()
    store(tmp_path).write(ITEMS, written)
    for name in (".abc.npy.draft", "abc.npy"):
        (tmp_path / "layer_2" / name).write_bytes(bytes(100))
    read = store(tmp_path)
    read.remove_drafts()
    assert sorted(path.name.count("abc") for path in (tmp_path / "layer_2").iterdir()) == [0, 0]
    assert read.missing(ITEMS) == []


def test_fp16_takes_half_and_refuses_what_it_cannot_hold(tmp_path):
    written = features()
    for dtype in ("fp32", "fp16"):
        store(tmp_path / dtype, dtype=dtype).write(ITEMS, written)
    sizes = [sum(np.load(path).nbytes for path in parts(tmp_path / dtype)) for dtype in ("fp32", "fp16")]
    assert sizes[0] == 2 * sizes[1] > 0
    half = store(tmp_path / "fp16", dtype="fp16")
    assert half.missing(ITEMS) == []
    read = half.of(ITEMS[1])
    assert [one.dtype for one in read] == list(LAYERS.values())
    assert torch.allclose(read[0], written[0][1], rtol=1e-3, atol=1e-3)
    with pytest.raises(UserError, match=r"beyond what fp16 can hold.*cache\.dtype=fp32"):
        half.write([Drawn(Region(9, Window(0, 0, 32, 32)), VIEWS[0])], [torch.full((1, 5, 3), 1e6), written[1][:1]])
