"""Does smp's U-Net with converted weights compute what the package's ONNX network does?

    python experiments/csmask/parity.py OUT/csmask_6b_l2a.safetensors [--package WHEEL]

Prints the largest difference of the logits on a made-up tile, beside the largest logit: from the network as it is,
which rounds to float16 after each operation, and from the same graph in float32. Needs `onnx` and `onnxruntime`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from convert import unet
from safetensors.torch import load_file
from source_package import Package, find_package

from geocompose.data.synthetic.context import make_landscape

TILE_PX = 256  # the only size that the ONNX networks take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--package", type=Path, help="a wheel, or the folder ukis_csmask; by default the installed one")
    arguments = parser.parse_args()
    package = find_package(arguments.package)
    ours, tiles, content = computed(arguments.weights, package)
    for name, network in (("as it is", content), ("in float32", in_float32(content))):
        theirs = run_onnx(network, tiles)
        print(f"{name}: largest difference {np.abs(ours - theirs).max():.2e}, largest logit {np.abs(theirs).max():.3g}")


def computed(weights: Path, package: Package) -> tuple[np.ndarray, np.ndarray, bytes]:
    """Return the logits (2, classes, 256, 256) of smp's network on two tiles, the tiles, and the ONNX file."""
    about = json.loads(weights.with_suffix(".json").read_text())
    model = unet(len(about["bands"]))
    model.load_state_dict(load_file(weights), assign=True)
    tiles = made_tiles(about)
    with torch.no_grad():
        ours = model(torch.from_numpy(tiles)).numpy()
    return ours, tiles, package.read(about["source"]["file"])


def run_onnx(content: bytes, tiles: np.ndarray) -> np.ndarray:
    """Return what an ONNX network makes of tiles."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: tiles})[0]


def in_float32(content: bytes) -> bytes:
    """Return the same graph with all numbers and results of float16 in float32."""
    import onnx
    from onnx import TensorProto, numpy_helper

    model = onnx.load_model_from_string(content)
    constants = [field.t for node in model.graph.node if node.op_type == "Constant" for field in node.attribute]
    for tensor in [*model.graph.initializer, *constants]:
        if tensor.data_type == TensorProto.FLOAT16:
            wide = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    for node in model.graph.node:
        for field in node.attribute:
            if node.op_type == "Cast" and field.name == "to" and field.i == TensorProto.FLOAT16:
                field.i = TensorProto.FLOAT
    del model.graph.value_info[:]  # the types of results, which follow
    return model.SerializeToString()


def made_tiles(about: dict) -> np.ndarray:
    """Return a landscape and its mirror image as the networks read them, float32 (2, bands, 256, 256)."""
    image, _ = make_landscape(0, 0, TILE_PX, -1)
    reflectance = image[: len(about["bands"])].astype(np.float32) / 10000
    tile = (reflectance - np.array(about["mean"])[:, None, None]) / np.array(about["std"])[:, None, None]
    return np.stack([tile, tile[..., ::-1]]).astype(np.float32)


if __name__ == "__main__":
    main()
