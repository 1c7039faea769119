"""Scale tags and offsets of rasters that are predicted: the same scene is the same to a model, however it is stored."""

import json

import numpy as np
import pytest
import yaml

from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.imagery.units import Values
from geocompose.inference.offsets import OffsetReader
from geocompose.inference.reading import Reading
from geocompose.inference.values import input_values
from tests.kit.command import only_run, record_of, run
from tests.kit.data_rasters import image, label, tag, write
from tests.kit.inference_rasters import read
from tests.kit.tagged_data import DATA, NAMES, QUICK


def scene(path, added=0, tags=None):
    write(path, image(7, 40, 40, 3, "uint16") + np.uint16(added), NAMES)
    return path if tags is None else tag(path, *tags)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Return what trains a run on four scenes, the last two of which have 1000 added."""
    monkeypatch.chdir(tmp_path)

    def train(*arguments, tagged):
        for place, day in enumerate(("20200101", "20210101", "20220301", "20230101")):
            added = 1000 * (place > 1)
            path = write(tmp_path / f"data/{day}_img.tif", image(place, 32, 32, 3, "uint16") + np.uint16(added), NAMES)
            if tagged:
                tag(path, 0.0001, -added / 1e4)
            write(tmp_path / f"data/{day}_lab.tif", label(place, 32, 32))
        run(*QUICK, *DATA, f"data.root={tmp_path / 'data'}", "trainer.max_epochs=1", "data.baselines=[]", *arguments)
        return only_run("default")

    return train


def predicted(folder, source, *arguments):
    out = source.with_name(f"{source.stem}_map.tif")
    run("action=predict", f"action.run={folder}", f"action.input={source}", f"action.output={out}",
        "action.kind=probabilities", "action.overwrite=true", *arguments)  # fmt: skip
    return read(out)


@pytest.mark.parametrize(
    ("stated", "unit"), [((), "reflectance"), (("data.unit=dn", "data.offset=tags"), "dn"), (("data.unit=dn",), "dn")]
)
def test_a_scene_gives_equal_answers_whether_or_not_something_was_added_to_it(tmp_path, trained, stated, unit):
    folder = trained(*stated, tagged=True)
    data = record_of(folder)["data"]
    assert (data["unit"], data["scale_tags"]) == (unit, "read")
    run("action=evaluate", f"action.run={folder}")
    (found,) = [json.loads(path.read_text()) for path in (folder / "evaluations").glob("*.json")]
    assert found["metrics"]["mIoU"] == pytest.approx(record_of(folder)["metrics"]["test/mIoU"], abs=1e-6)
    before = predicted(folder, scene(tmp_path / "before.tif", 0, (0.0001, 0.0)))
    after = predicted(folder, scene(tmp_path / "after.tif", 1000, (0.0001, -0.1)))
    assert np.array_equal(before, after)
    assert not np.array_equal(before, predicted(folder, scene(tmp_path / "wrong.tif", 1000, (0.0001, 0.0))))


def test_a_run_with_offsets_by_date_predicts_by_date_by_table_and_by_number(tmp_path, trained, capsys):
    folder = trained("data.unit=dn", "data.offset=date", tagged=False)
    assert record_of(folder)["data"]["offset"] == "date"
    before = predicted(folder, scene(tmp_path / "x_20211231.tif"))
    assert np.array_equal(before, predicted(folder, scene(tmp_path / "x_20220125.tif", 1000)))
    undated = scene(tmp_path / "x.tif", 1000)
    with pytest.raises(UserError, match=r"x.tif has no date in its name.*action.offset=NUMBER"):
        predicted(folder, undated)
    assert np.array_equal(before, predicted(folder, undated, "action.offset=1000"))
    (tmp_path / "added.csv").write_text("file,offset\nx.tif,1000\n")
    assert np.array_equal(before, predicted(folder, undated, "action.offset=added.csv"))
    with pytest.raises(UserError, match=r"x.tif has no scale or offset among its tags, and action.offset=tags"):
        predicted(folder, undated, "action.offset=tags")
    tag(undated, 0.0001, -0.1)
    assert np.array_equal(before, predicted(folder, undated, "action.offset=tags"))


def test_what_the_input_says_of_itself_comes_before_the_training_s_offset(tmp_path, trained, caplog):
    folder = trained("data.unit=dn", "data.offset=1000", tagged=False)
    after = predicted(folder, scene(tmp_path / "after.tif", 1000))
    before = predicted(folder, scene(tmp_path / "before.tif", 0, (0.0001, 0.0)))
    assert np.array_equal(before, after)
    assert "the tags (scale 0.0001, offset 0) say that 0 was added, not 1000 as in the training" in caplog.text


def test_runs_that_read_no_tags_read_none_of_their_input(tmp_path, trained, caplog):
    folder = trained(tagged=False)
    assert record_of(folder)["data"]["scale_tags"] == "ignore"
    plain = predicted(folder, scene(tmp_path / "plain.tif"))
    tagged = predicted(folder, scene(tmp_path / "tagged.tif", 0, (0.0001, -0.1)))
    assert np.array_equal(plain, tagged)
    assert "tagged.tif: the tags (scale 0.0001, offset -0.1) are not read, as in the run's training." in caplog.text


def test_runs_of_before_tags_were_read_are_evaluated_and_predicted_as_they_were_trained(tmp_path, trained):
    folder = trained("data.unit=dn", "data.offset=0", "data.scale_tags=ignore", tagged=True)
    record = record_of(folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    del record["data"]["scale_tags"], config["data"]["scale_tags"]
    (folder / "record.json").write_text(json.dumps(record))
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    run("action=evaluate", f"action.run={folder}")
    (found,) = [json.loads(path.read_text()) for path in (folder / "evaluations").glob("*.json")]
    assert found["metrics"]["mIoU"] == pytest.approx(record["metrics"]["test/mIoU"], abs=1e-6)
    plain = predicted(folder, scene(tmp_path / "plain.tif"))
    assert np.array_equal(plain, predicted(folder, scene(tmp_path / "tagged.tif", 0, (0.0001, -0.1))))
    # The user knows better.
    later = scene(tmp_path / "later.tif", 1000, (0.0001, -0.1))
    assert np.array_equal(plain, predicted(folder, later, "action.scale_tags=read", "action.offset=tags"))


def test_an_offset_out_of_a_table_of_the_training_says_nothing_of_other_images():
    recorded = {"unit": "dn", "offset": "o.csv", "scale_tags": "read", "bands": ["RED"], "read_as": ["reflectance"]}
    with pytest.raises(UserError, match=r"offsets out of a table \(data.offset=o.csv\).*action.offset=NUMBER"):
        input_values(recorded, None, None, None)
    assert input_values(recorded, None, 5.0, None).offset == 5.0
    with pytest.raises(UserError, match=r"action.offset=no.csv: there is no such file"):
        OffsetReader(Values("dn", offset="no.csv", group="action"), {}, [("a", "a.tif")])
    with pytest.raises(UserError, match=r"action.offset=date finds one date, and an image of this run has 2 frames"):
        OffsetReader(Values("dn", offset="date", group="action"), {}, [("a", "a.tif")], num_frames=2)


def test_in_python_a_reading_takes_values_as_they_are_stored_unless_told(tmp_path):
    source = scene(tmp_path / "a.tif", 0, (0.0001, -0.1))
    whole, stored = Window(0, 0, 40, 40), image(7, 40, 40, 3)[2]
    plain = Reading(bands=["RED"], mean=[0.0], std=[1.0])
    assert np.array_equal(plain.open(source).read(whole)[0][0], stored)
    told = Reading(bands=["RED"], mean=[0.0], std=[1.0], values=Values(), units=["reflectance_1e4"])
    assert np.allclose(told.open(source).read(whole)[0][0], stored - 1000, atol=1e-3)
