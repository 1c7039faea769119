"""Parts that a package re-exports, holds in blocks, decorates or half fills: a run of all kinds of them at once."""

import sys
from pathlib import Path

import pytest

from geocompose.errors import UserError
from tests.kit.command import SMALL, only_run, record_of, run

INIT = """
from functools import partial
from .net import Net, Backbone as Renamed
from .more import *
from . import more as further
import {name}.net as aliased
"""
NET = """
try:
    import torch
    from torch import nn
except ImportError:
    nn = None
TABLE = {}

def part(name):
    def keep(one):
        TABLE[name] = one
        return one
    return keep

if nn is not None:
    @part("net")
    class Backbone(nn.Module):
        def __init__(self, in_chans: int = 3, width: int = 4):
            super().__init__()
            self.in_chans, self.out_channels = in_chans, [width]
            self.body = nn.Conv2d(in_chans, width, 4, 4)

        def forward(self, image):
            return [self.body(image)]

def made():
    class Named(Backbone):
        def __init__(self, bands=None, width: int = 4):
            super().__init__(len(bands), width)
            self.bands = bands
    return Named

Net = made()  # which source alone doesn't tell
"""
MORE = """
from functools import partial
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from geocompose.tasks.segmentation import SegmentationTask
from torch import nn

__all__ = ["Decoder", "Head", "Loss", "Told", "Log", "Task"]

class _Decoder(nn.Module):
    def __init__(self, channel_list: list[int], channels: int, kernel_size: int = 1):
        super().__init__()
        self.out_channels = channels
        self.body = nn.Conv2d(channel_list[-1], channels, kernel_size)

    def forward(self, features):
        return self.body(features[-1])

Decoder = partial(_Decoder, channels=8)

class _Neck(nn.Module):
    def __init__(self, channel_list: list[int], scale: float = 1.0):
        super().__init__()
        self.scale = scale

    def forward(self, features):
        return [self.scale * each for each in features]

    def process_channel_list(self, channel_list):
        return channel_list

Neck = partial(_Neck, scale=2.0)

class _Head(nn.Module):
    def __init__(self, in_channels: int, num_outputs: int, bias: bool = True):
        super().__init__()
        self.body = nn.Conv2d(in_channels, num_outputs, 1, bias=bias)

    def forward(self, features):
        return self.body(features)

Head = partial(_Head, bias=False)

class _Loss(nn.Module):
    def __init__(self, ignore_index: int, smoothing: float = 0.0):
        super().__init__()
        self.loss = nn.CrossEntropyLoss(ignore_index=ignore_index, label_smoothing=smoothing)

    def forward(self, output, labels):
        return self.loss(output, labels)

Loss = partial(_Loss, smoothing=0.1)

class _Told(Callback):
    def __init__(self, text: str):
        self.text = text

    def on_fit_start(self, trainer, module):
        open("told.txt", "w").write(self.text)

Told = partial(_Told, text="fit")
Log = partial(CSVLogger, name="mine")

class _Task(SegmentationTask):
    pass

Task = partial(_Task)
"""
OTHERS = [text for text in SMALL if not text.startswith(("backbone", "decoder"))]


def command(name: str, backbone: str, *more: str) -> list[str]:
    return [
        *OTHERS, "trainer.max_epochs=1", "backbone=own", f"backbone._target_={name}.{backbone}", "++backbone.width=6",
        "neck=list", f"neck.necks=[{{_target_: {name}.further.Neck, _partial_: true}}]",
        "decoder=own", f"decoder._target_={name}.Decoder", "++decoder.kernel_size=1",
        "head=own", f"head._target_={name}.Head", f"task._target_={name}.Task",
        f"task.loss={{_target_: {name}.Loss}}", f"trainer.callbacks=[{{_target_: {name}.Told}}]",
        "logger=own", f"logger._target_={name}.Log", *more,
    ]  # fmt: skip


@pytest.fixture
def lab(tmp_path, monkeypatch, request):
    name = f"lab_{abs(hash(request.node.nodeid)):x}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    folder = Path(name)
    folder.mkdir()
    for file, text in (("__init__", INIT.format(name=name)), ("net", NET), ("more", MORE)):
        (folder / f"{file}.py").write_text(text)
    yield name
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.mark.parametrize("backbone", ["Renamed", "Net", "aliased.Backbone"])
def test_a_run_of_parts_that_a_package_re_exports(backbone, lab):
    run(*command(lab, backbone))
    folder = only_run("default")
    record = record_of(folder)
    assert record["status"] == "completed"
    assert Path("told.txt").read_text() == "fit"
    assert len(record["code"]["files"]) == 3
    assert list(folder.rglob("metrics.csv"))
    names = ["Decoder", "Head", "Loss", "Told", "Log", "Task", "further.Neck", backbone]
    trusted = ",".join(f"{lab}.{name}" for name in names)
    run("action=evaluate", f"action.run={folder}", f"action.trust=[{trusted}]")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("++backbone.widht=6", r"backbone has no key 'widht'. Did you mean 'width'\?"),
        ("++decoder.chanels=6", r"decoder has no key 'chanels'. Did you mean 'channels'\?"),
        ("++head.bais=false", r"head has no key 'bais'. Did you mean 'bias'\?"),
        ("++task.loss.smothing=0.1", r"task.loss has no key 'smothing'. Did you mean 'smoothing'\?"),
        ("++trainer.callbacks.0.txt=a", r"trainer.callbacks\[0\] has no key 'txt'. Did you mean 'text'\?"),
        ("++logger.save_dri=a", r"logger has no key 'save_dri'. Did you mean 'save_dir'\?"),
        ("++neck.necks.0.scal=1", r"neck.necks\[0\] has no key 'scal'. Did you mean 'scale'\?"),
    ],
)
def test_a_misspelt_key_of_such_a_part_stops_before_anything_is_imported(wrong, message, lab):
    with pytest.raises(UserError, match=message):
        run(*command(lab, "Renamed", wrong))
    assert lab not in sys.modules


HIDDEN = """
def hide(cls):
    class Hidden(cls):
        pass
    return Hidden
Decoder, Head, Loss, Told, Log, Task, Neck = (hide(each.func) for each in (Decoder, Head, Loss, Told, Log, Task, Neck))
"""


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("++backbone.widht=6", r"Net has no argument 'widht'. Did you mean 'width'\?"),
        ("++decoder.chanels=6", r"Decoder has no argument 'chanels'. Did you mean 'channels'\?"),
        ("++head.bais=false", r"Head has no argument 'bais'. Did you mean 'bias'\?"),
        ("++task.sampelr=1", r"Task has no argument 'sampelr'. Did you mean 'sampler'\?"),
        ("++task.loss.smothing=0.1", r"Loss has no argument 'smothing'. Did you mean 'smoothing'\?"),
        ("++trainer.callbacks.0.txt=a", r"Told has no argument 'txt'. Did you mean 'text'\?"),
        ("++logger.save_dri=a", r"Log has no argument 'save_dri'. Did you mean 'save_dir'\?"),
        ("++neck.necks.0.scal=1", r"further.Neck has no argument 'scal'. Did you mean 'scale'\?"),
    ],
)
def test_a_misspelt_key_of_a_class_that_source_does_not_tell_stops_before_the_first_batch(wrong, message, lab):
    (Path(lab) / "more.py").write_text(MORE + HIDDEN)
    given = [text.replace(".Told}", ".Told, text: fit}") for text in command(lab, "Net", "++decoder.channels=6", wrong)]
    with pytest.raises(UserError, match=message):
        run(*given)
    assert not Path("told.txt").exists()
