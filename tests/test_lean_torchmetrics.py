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


def test_lightning_loads_the_core_alone():
    told = said(f"""
import lightning.pytorch, torchmetrics
from torchmetrics import Metric
heavy = [name for name in {HEAVY} if name in sys.modules]
print(json.dumps(dict(heavy=heavy, core=Metric.__module__, version=torchmetrics.__version__)))
""")
    assert told == {"heavy": [], "core": "torchmetrics.metric", "version": told["version"]}
    assert told["version"][0].isdigit()


@pytest.mark.parametrize(
    "asked",
    [
        "from torchmetrics import Accuracy",
        "import torchmetrics.classification; torchmetrics.Accuracy",
        "from torchmetrics.image import PeakSignalNoiseRatio; torchmetrics.Accuracy",
        "import torchmetrics.functional as f; f.accuracy; torchmetrics.Accuracy",
        "from torchmetrics import *",
    ],
)
def test_all_of_it_comes_when_it_is_asked_for(asked):
    told = said(f"""
import lightning.pytorch, torchmetrics
{asked}
missing = sorted(name for name in torchmetrics.__all__ if name not in vars(torchmetrics))
same = torchmetrics.Metric is lightning.pytorch.core.module.Metric and issubclass(torchmetrics.Accuracy, object)
import torch
metric = torchmetrics.classification.MulticlassAccuracy(num_classes=3, average="micro")
score = float(metric(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2])))
print(json.dumps(dict(missing=missing, same=same, score=score)))
""")
    assert told == {"missing": [], "same": True, "score": 0.75}


def test_a_name_that_there_is_not_is_an_attribute_error():
    told = said("""
import torchmetrics
try:
    torchmetrics.nothing
except AttributeError as error:
    print(json.dumps(str(error)))
""")
    assert "'nothing'" in told


def test_a_version_whose_core_is_made_otherwise_is_imported_as_ever():
    told = said("""
sys.modules["torchmetrics.collections"] = None
import torchmetrics
print(json.dumps(dict(kind=type(torchmetrics).__name__, whole="Accuracy" in vars(torchmetrics))))
""")
    assert told == {"kind": "module", "whole": True}


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
