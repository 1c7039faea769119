"""Write the cloud-mask networks of the Python package ukis-csmask as weights of smp's U-Net, which geocompose loads.

    python experiments/csmask/convert.py OUT
    python experiments/csmask/convert.py OUT --package ukis_csmask-1.0.0-py3-none-any.whl --networks 6b_l2a

The package is the installed one, or a wheel or folder. It is read with `onnx`; nothing of it is run. OUT gets, for each
network:

    csmask_6b_l2a.safetensors   every tensor of smp.Unet("efficientnet-b4"), under smp's names
    csmask_6b_l2a.json          what they are: bands, unit, level, mean and deviation, classes, source, sha256, licence

and the package's LICENSE.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from source_package import Package, find_package
from torch import Tensor, nn

from geocompose.errors import UserError, shortened
from geocompose.runs.atomic import write_json, write_text, write_through

NETWORKS = ("6b_l1c", "6b_l2a", "4b_l1c", "4b_l2a")
ENCODER = "efficientnet-b4"
CLASSES = ("background", "cloud", "cloud_shadow")
LEVELS = {"l1c": "TOA", "l2a": "BOA"}
# The names that STAC gives bands, which the package uses, and geocompose's.
BANDS = {"blue": "BLUE", "green": "GREEN", "red": "RED", "nir": "NIR_BROAD", "swir16": "SWIR_1", "swir22": "SWIR_2"}
PREFIX = "model."  # in the package's names
# Behind the last feature map: smp's encoder has them and never computes them, so the export left them out.
UNUSED = ("encoder._conv_head.", "encoder._bn1.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--package", type=Path, help="a wheel, or the folder ukis_csmask; by default the installed one")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS[:2])
    arguments = parser.parse_args()
    try:
        package = find_package(arguments.package)
        for network in arguments.networks:
            print(convert(package, network, arguments.out))
    except UserError as error:
        raise SystemExit(str(error)) from error


def convert(package: Package, network: str, out: Path) -> Path:
    """Write one network's weights, what they are, and their licence; return the path of the weights.

    network: one of `NETWORKS`: number of bands, and level.

    Raises:
        UserError: it isn't the network that is described above; says what differs.
    """
    content, said = package.read(f"model_{network}.onnx"), json.loads(package.read(f"model_{network}.json"))
    if said["model"]["encoder_name"] != ENCODER or said["model"]["decoder_name"] != "unet":
        raise UserError(f"{package.place} holds another network than a unet of {ENCODER}: {said['model']}.")
    bands = said["data"]["dataset_statistics"]["band_names"]
    weights = named_as_smp(tensors_of(content), unet(len(bands)).state_dict(), f"model_{network}.onnx")
    out.mkdir(parents=True, exist_ok=True)
    path, written = out / f"csmask_{network}.safetensors", save(weights)
    write_through(path, lambda file: file.write(written))
    write_text(out / "LICENSE", package.licence())
    write_json(path.with_suffix(".json"), described(said, network, weights, path.name, written, package, content))
    return path


def unet(num_bands: int) -> nn.Module:
    """Return smp's U-Net as the networks are, without memory for its weights."""
    import segmentation_models_pytorch as smp

    with torch.device("meta"):
        return smp.Unet(ENCODER, encoder_weights=None, in_channels=num_bands, classes=len(CLASSES)).eval()


def tensors_of(content: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of an ONNX file by name, in float32: the package stores them in float16, which fits in."""
    import onnx

    graph = onnx.load_model_from_string(content).graph
    return {tensor.name: onnx.numpy_helper.to_array(tensor).astype(np.float32) for tensor in graph.initializer}


def named_as_smp(found: Mapping[str, np.ndarray], own: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """Return all tensors of smp's model: those of the file, and zeros where nothing is computed from them.

    found: the file's. own: the model's, of which only names, shapes and types count.

    Raises:
        UserError: the file has other tensors than the model, or of another shape.
    """
    given = {name.removeprefix(PREFIX): value for name, value in found.items()}
    # Batch norm's counters steer nothing in smp's models, and the export has none.
    needed = {name for name in own if not name.startswith(UNUSED) and not name.endswith("num_batches_tracked")}
    problems = {
        "missing": sorted(needed - given.keys()),
        "unexpected": sorted(given.keys() - needed),
        "of another shape": sorted(n for n in needed & given.keys() if given[n].shape != own[n].shape),
    }
    told = "; ".join(f"{len(names)} {kind}: {shortened(names, 4)}" for kind, names in problems.items() if names)
    if told:
        raise UserError(f"{file} doesn't fit smp's Unet of {ENCODER}: {told}. Take ukis-csmask 1.0.0.")
    return {
        name: torch.tensor(given[name]) if name in needed else torch.zeros(value.shape, dtype=value.dtype)
        for name, value in own.items()
    }


def described(
    said: Mapping[str, Any],
    network: str,
    weights: Mapping[str, Tensor],
    name: str,
    written: bytes,
    package: Package,
    content: bytes,
) -> dict[str, Any]:
    """Return what the weights are, as it stands beside them."""
    mean, deviation = said["data"]["dataset_statistics"]["img"]
    common_names = said["data"]["dataset_statistics"]["band_names"]
    return {
        "file": name,
        "sha256": hashlib.sha256(written).hexdigest(),
        "architecture": {
            "library": "segmentation_models_pytorch",
            "class": "Unet",
            "encoder_name": ENCODER,
            "in_channels": len(common_names),
            "classes": len(CLASSES),
        },
        "bands": [BANDS[common] for common in common_names],
        "common_names": common_names,
        "unit": "reflectance",
        "level": LEVELS[network.partition("_")[2]],
        "mean": mean,
        "std": deviation,
        "class_names": list(CLASSES),
        "zeros": [key for key in weights if key.startswith(UNUSED) or key.endswith("num_batches_tracked")],
        "source": {
            "package": f"ukis-csmask {package.version}",
            "url": "https://github.com/dlr-eoc/ukis-csmask",
            "network": said["model"]["version"],
            "file": f"model_{network}.onnx",
            "sha256": hashlib.sha256(content).hexdigest(),
            "author": "German Aerospace Center (DLR)",
        },
        "licence": "Apache-2.0",
        "changes": "float16 as float32, names without their prefix model., zeros for what smp never computes",
    }


if __name__ == "__main__":
    main()
