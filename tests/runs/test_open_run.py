"""A completed run is opened with its targets under their names of today, in its configuration and its record."""

import pytest

from geocompose.errors import UserError
from geocompose.runs import IdentityRules, Trust, load_rules, open_run
from tests.kit.places import CONF
from tests.kit.run_folders import complete

MOVED = IdentityRules(renamed={"new.room.Neck": "old.Neck"})


def test_planned_necks_of_a_record_have_todays_names_too(run):
    complete(run)
    run.config.write_text("neck: {_target_: old.Neck}\n")
    record = run.read()
    record.data = {"bands": ["RED"], "tile_px": 32}
    record.model = {"parameters": 3, "necks": [{"_target_": "old.Neck", "width": 1}, {"name": "Kept"}]}
    record.write(run.record)
    opened = open_run(run.path, MOVED, Trust([], ["new.room.Neck"]))
    assert opened.config == {"neck": {"_target_": "new.room.Neck"}}
    assert opened.record.model == {
        "parameters": 3, "necks": [{"_target_": "new.room.Neck", "width": 1}, {"name": "Kept"}],
    }  # fmt: skip
    assert run.read() == record  # what is on the disk stays


@pytest.mark.parametrize("text", [None, "a: [", "", "- a", b"\xff\xfe\xff"])
def test_a_run_without_its_configuration_is_told(text, run):
    complete(run)
    run.config.unlink()
    if text is not None:
        run.config.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=r"config.yaml is (missing|damaged).*compute the run again"):
        open_run(run.path, IdentityRules(), Trust([]))


def test_a_first_name_leads_to_nothing_today():
    """Else a run recorded under a new thing's name would be loaded as the old one that has moved."""
    from geocompose.configuration.signatures import arguments

    rules = load_rules(CONF)
    for now, first in rules.renamed.items():
        assert arguments(now) is not None
        with pytest.raises((ModuleNotFoundError, AttributeError)):
            arguments(first)
