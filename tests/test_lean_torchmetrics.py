"""torchmetrics' core first: what is not loaded, that all comes when asked for, and where it can't be taken apart."""

import json
import subprocess
import sys

import pytest

START = """
import json, sys
from geocompose.lean_torchmetrics import import_core_first
import_core_first()
"""
HEAVY = ["scipy.signal", "torchvision", "transformers"]


def said(code: str) -> dict:
    """Return what a fresh process prints last, as JSON."""
    done = subprocess.run([sys.executable, "-c", START + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


COMPLETE = """
missing = sorted(name for name in torchmetrics.__all__ if name not in vars(torchmetrics))
metric = torchmetrics.classification.MulticlassAccuracy(num_classes=3, average="micro")
score = float(metric(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2])))
try:
    torchmetrics.nothing
except AttributeError as error:
    nothing = str(error)
print(json.dumps(dict(found, missing=missing, score=score, nothing=nothing)))
"""


def test_lightning_loads_the_core_alone_and_the_rest_comes_when_it_is_asked_for():
    told = said(f"""
import lightning.pytorch, torch, torchmetrics
from torchmetrics import Metric
found = dict(heavy=[name for name in {HEAVY} if name in sys.modules], version=torchmetrics.__version__)
from torchmetrics import Accuracy
found["same"] = torchmetrics.Metric is Metric is lightning.pytorch.core.module.Metric and issubclass(Accuracy, Metric)
{COMPLETE}""")
    assert (told["heavy"], told["same"], told["missing"], told["score"]) == ([], True, [], 0.75)
    assert told["version"][0].isdigit()
    assert "'nothing'" in told["nothing"]


@pytest.mark.slow
def test_a_domain_may_be_asked_for_first():
    told = said(f"""
import torch
from torchmetrics.image import PeakSignalNoiseRatio
import torchmetrics, torchmetrics.functional
found = dict(function=callable(torchmetrics.functional.accuracy))
from torchmetrics import *
{COMPLETE}""")
    assert (told["function"], told["missing"], told["score"]) == (True, [], 0.75)


def test_a_version_whose_core_is_made_otherwise_is_imported_as_ever():
    told = said("""
sys.modules["torchmetrics.collections"] = None
import torchmetrics
print(json.dumps(dict(kind=type(torchmetrics).__name__, whole="Accuracy" in vars(torchmetrics))))
""")
    assert told == {"kind": "module", "whole": True}


@pytest.mark.slow
def test_what_is_loaded_already_stays():
    told = said("""
sys.meta_path.pop(0)
import torchmetrics
import_core_first()
import_core_first()
finders = [type(finder).__module__ for finder in sys.meta_path]
print(json.dumps(dict(kind=type(torchmetrics).__name__, finders=sum("lean" in module for module in finders))))
""")
    assert told == {"kind": "module", "finders": 0}
