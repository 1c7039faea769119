"""What a stranger's run folder names is never imported or called, unless the user has typed it."""

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from geocompose.configuration.working_folder import search_working_folder, targets_in
from geocompose.errors import UserError
from geocompose.runs import RunFolder, Trust, load_rules, open_run
from geocompose.runs.trust import check_size
from tests.kit.places import CONF
from tests.kit.run_folders import complete

GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("experiment", "hydra"))
# Callables that write, load, execute or fetch; some look like ours, or like what conf/ names in another group.
TARGETS = [
    "os.mkdir", "os.system", "os.makedirs", "os.remove", "posix.mkdir", "builtins.open", "builtins.eval",
    "builtins.exec", "builtins.__import__", "subprocess.run", "subprocess.Popen", "shutil.copyfile", "shutil.rmtree",
    "pathlib.Path.touch", "pathlib.Path.write_text", "pickle.loads", "marshal.loads", "runpy.run_path",
    "importlib.import_module", "ctypes.CDLL", "socket.create_connection", "urllib.request.urlretrieve",
    "webbrowser.open", "code.interact", "timeit.timeit", "pdb.run", "sympy.sympify", "torch.load", "torch.hub.load",
    "torch.jit.load", "torch.utils.cpp_extension.load", "torch.save", "numpy.load", "numpy.save", "yaml.unsafe_load",
    "hydra.utils.instantiate", "hydra.utils.get_method", "omegaconf.OmegaConf.save", "lightning.Trainer",
    "timm.create_model", "canary.fire", "geocompose.cli.os.mkdir", "geocompose.runs.atomic.write_text",
    "geocompose.actions.fit.fit", "geocompose.configuration.instantiation.instantiate", "", "os", "canary",
    "geocompose.backbones.unet.UNet.__init__.__globals__", "GEOCOMPOSE.backbones.unet.UNet",
]  # fmt: skip


ONE = {"bands": ["RED"], "tile_px": 8}
RULES = load_rules(CONF)


@pytest.fixture
def stranger(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A completed run, beside a module that leaves a file behind when it is imported."""
    complete(run)
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "canary.py").write_text(
        f"open({str(tmp_path / 'sung')!r}, 'w').close()\n\n\ndef fire(*args, **kwargs):\n    return None\n"
    )
    monkeypatch.syspath_prepend(lab)
    return run


def write(run: RunFolder, config: Any, necks: Any = None) -> None:
    run.config.write_text(yaml.safe_dump(config))
    record = run.read()
    record.data = {"bands": ["RED"], "tile_px": 32}
    record.model = {} if necks is None else {"necks": necks}
    record.write(run.record)


@cache
def believing(*typed: str) -> Trust:
    return Trust([CONF], typed)


def opened(run: RunFolder, *typed: str) -> Any:
    return open_run(run.path, RULES, believing(*typed))


def places(target: str) -> list[Any]:
    """The places of a node in which Hydra would call a target."""
    bad = {"_target_": target, "path": "x"}
    good = "geocompose.backbones.unet.UNet"
    return [
        bad,
        {"_target_": good, "kwargs": {"deep": [{"er": bad}]}},
        {"parts": {"s2": bad}},
        {"_target_": target, "_partial_": True},
        [bad],
    ]


@pytest.mark.parametrize("group", GROUPS)
def test_no_group_imports_what_is_not_allowed(group: str, stranger: RunFolder, tmp_path: Path) -> None:
    for number, target in enumerate(TARGETS, GROUPS.index(group)):
        if group == "action" and target == "geocompose.actions.fit.fit":
            continue  # the action that a configuration was composed for; it is not called again
        # In one place for each group, so that over the groups every target has been in every place.
        nodes = places(target)
        write(stranger, {group: nodes[number % len(nodes)]})
        with pytest.raises(UserError) as refusal:
            opened(stranger)
        assert str(stranger.config) in str(refusal.value)
        assert group in str(refusal.value)
    assert not (tmp_path / "sung").exists()
    assert not (tmp_path / "x").exists()
    assert "canary" not in sys.modules


@pytest.mark.parametrize("target", TARGETS)
def test_no_neck_of_a_record_imports_what_is_not_allowed(target: str, stranger: RunFolder, tmp_path: Path) -> None:
    for neck in places(target)[:2]:
        write(stranger, {}, [{"name": "SelectIndices", "indices": [0]}, neck])
        with pytest.raises(UserError, match=r"record\.json: model\.necks\[1\]"):
            opened(stranger)
    assert not (tmp_path / "sung").exists()


def test_what_the_user_typed_is_allowed_and_nothing_else(stranger: RunFolder) -> None:
    config = {"backbone": {"_target_": "canary.fire", "width": 3}}
    write(stranger, config, [{"_target_": "canary.fire"}])
    with pytest.raises(
        UserError,
        match=r"backbone\._target_ names 'canary\.fire'.*write 'action\.trust=\[canary\.other,canary\.fire\]'",
    ):
        opened(stranger, "canary.other")
    assert opened(stranger, "canary.fire").config == config


def test_a_folder_that_was_typed_is_trusted(stranger: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "conf" / "backbone").mkdir(parents=True)
    (tmp_path / "conf" / "backbone" / "mine.yaml").write_text("# _target_: os.system\n_target_: canary.fire\n")
    trust = Trust([CONF, tmp_path / "conf"])
    trust.check({"backbone": {"_target_": "canary.fire"}}, "config.yaml")
    for group, target in (("backbone", "os.system"), ("decoder", "canary.fire")):
        with pytest.raises(UserError, match=target):
            trust.check({group: {"_target_": target}}, "config.yaml")


def test_every_option_of_conf_is_allowed_in_its_group() -> None:
    trust = Trust([CONF])
    count = 0
    for path in CONF.glob("*/*.yaml"):
        node = yaml.safe_load(path.read_text())
        if path.parent.name not in ("experiment", "hydra") and isinstance(node, dict) and node.get("_target_") != "???":
            target = node.get("_target_")
            if target is not None:
                trust.check_part(path.parent.name, path.parent.name, {"_target_": target, "_partial_": True}, path)
                count += 1
    assert count > 80


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_args_": ["x"]}, r"backbone\._args_ is not a setting"),
        ({"_recursive_": False}, r"backbone\._recursive_ is not a setting"),
        ({"_convert_": "all"}, r"backbone\._convert_"),
        ({"a": [{"_mode_": 1}]}, r"backbone\.a\[0\]\._mode_"),
        ({"_partial_": "${oc.env:HOME}"}, r"backbone\._partial_ is true or false"),
        ({"_target_": 3}, r"backbone\._target_ names '3'"),
        ({"_target_": ["os.mkdir"]}, r"backbone\._target_ names"),
        ({"name": "${oc.env:HOME}"}, r"backbone\.name holds the interpolation"),
        ({"name": "a-${now:%Y}"}, r"backbone\.name holds the interpolation"),
        ({"name": {"deep": ["x", "${.y}"]}}, r"backbone\.name\.deep\[1\] holds the interpolation"),
        ({7: "x"}, r"backbone\.7 has the key 7"),
    ],
)
def test_other_instructions_to_hydra_are_refused_with_their_place(node: Any, message: str, stranger: RunFolder) -> None:
    write(stranger, {"backbone": node})
    with pytest.raises(UserError, match=message):
        opened(stranger)


def test_what_grows_when_it_is_read_is_refused() -> None:
    laughs: Any = "ha"
    for _ in range(9):
        laughs = [laughs] * 10
    with pytest.raises(UserError, match=r"more than 100,000 values"):
        check_size({"a": laughs}, "config.yaml")
    deep: Any = 1
    for _ in range(100):
        deep = {"a": deep}
    with pytest.raises(UserError, match=r"nested more than 40 deep"):
        check_size(deep, "config.yaml")


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("data", {"bands": "RED", "tile_px": 32}, r"data\.bands.*'RED'"),
        ("data", {"bands": [], "tile_px": 32}, r"data\.bands"),
        ("data", {"bands": ["RED"], "tile_px": 10**9}, r"data\.tile_px"),
        ("data", {"bands": ["RED"], "tile_px": "32"}, r"data\.tile_px"),
        ("data", {"bands": ["RED"], "tile_px": 32, "num_frames": 0}, r"data\.num_frames"),
        ("data", {"bands": ["RED"], "tile_px": 32, "coordinates": ["mind"]}, r"data\.coordinates"),
        ("data", {"bands": ["RED"], "tile_px": 32, "read_as": ["furlongs"]}, r"data\.read_as.*one of reflectance"),
        ("data", {"bands": ["RED"], "tile_px": 32, "read_as": [None, None]}, r"data\.read_as has 2 values"),
        (
            "data",
            {"bands": ["R"], "tile_px": 8, "normalization": {"mean": [0.0], "std": [0.0]}},
            r"data\.normalization\.std",
        ),
        (
            "data",
            {"bands": ["R"], "tile_px": 8, "normalization": {"mean": [0.0, 1.0], "std": [1.0]}},
            r".*\.mean has 2",
        ),
        (
            "data",
            {"bands": ["R"], "tile_px": 8, "target": {"kind": "divination", "names": ["a"]}},
            r"data\.target\.kind",
        ),
        ("model", {"necks": "SelectIndices"}, r"model\.necks"),
        ("model", {"necks": ["SelectIndices"]}, r"model\.necks"),
    ],
)
def test_a_record_that_no_run_writes_is_refused(part: str, value: Any, message: str, stranger: RunFolder) -> None:
    write(stranger, {})
    content = json.loads(stranger.record.read_text())
    content[part] = value
    stranger.record.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"record\.json is not as a run records it \({message}"):
        opened(stranger)


def test_the_working_folder_is_searched_for_typed_targets_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    (tmp_path / "my_lab.py").write_text("")
    (tmp_path / "yaml.py").write_text("")
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    (tmp_path / "my_lab.py").write_text("def later():\n    from my_layers import Layer\n")
    (tmp_path / "my_layers.py").write_text("")
    (tmp_path / "bitsandbytes_of_nobody.py").write_text("")
    finders = len(sys.meta_path)
    for targets in ({"torch.optim.AdamW"}, {"yaml.safe_load"}, {"absent.Net"}, set()):
        search_working_folder(targets)
        assert len(sys.meta_path) == finders
    search_working_folder(targets_in({"backbone": {"parts": [{"_target_": "my_lab.Net"}]}}))
    for name in ("my_lab", "my_layers"):  # the module, and what it imports from beside itself
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert Path(str(spec.origin)).parent == tmp_path
    assert importlib.util.find_spec("bitsandbytes_of_nobody") is None
    assert importlib.util.find_spec("yaml").origin != str(tmp_path / "yaml.py")  # type: ignore[union-attr]
    assert str(tmp_path) not in sys.path
    assert targets_in({"action": {"trust": ["a.B"], "data": {"_target_": "c.D"}}}) == {"a.B", "c.D"}
    assert targets_in({"head": {"_target_": "a.B", "final_act": "my_lab.Act"}}) == {"a.B", "my_lab.Act"}


def test_all_that_would_have_to_be_trusted_is_named_at_once(tmp_path):
    config = {
        "backbone": {"_target_": "my_lab.TwoLevels", "inner": [{"_target_": "my_lab.Part"}]},
        "decoder": {"_target_": "my_lab.SumDecoder"},
        "neck": {"_target_": "geocompose.planning.AutoNecks"},
    }
    with pytest.raises(UserError) as refused:
        Trust((CONF,), ("my_lab.Part",)).check(config, "record.json")
    assert "'action.trust=[my_lab.Part,my_lab.TwoLevels,my_lab.SumDecoder]'" in str(refused.value)
    Trust((CONF,), ("my_lab.Part", "my_lab.TwoLevels", "my_lab.SumDecoder")).check(config, "record.json")
