"""The fork server's second import: all that a run imports is loaded, and nothing of it is run.

A process that is forked while threads of OpenMP run may hang, and one that is forked after CUDA was started can't use
it. So this imports and no more; a test looks for threads.
"""

import gc
import importlib
import os
import pkgutil
import sys
from contextlib import suppress

from geocompose.launchers.server_process import server_pid

# What the libraries are loaded with. OpenBLAS starts its threads when it is loaded (cells then get their own number),
# and asking for the number of GPUs must not start CUDA.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}

# What a run loads only when it needs it, beside what our own modules load.
LATER = ("matplotlib.backends.backend_agg", "peft", "sklearn.linear_model", "torch.utils.tensorboard", "transformers")


def _load() -> None:
    package = __name__.partition(".")[0]
    names = sorted(found.name for found in pkgutil.walk_packages(sys.modules[package].__path__, f"{package}."))
    for name in (*names, *LATER):
        with suppress(Exception):  # what can't be loaded is told by the cell that needs it
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a cell would write to all that it looks at, which is shared until then


if server_pid == os.getpid():  # not in a cell
    _load()
