"""Families of backbones and decoders as programs: the table of docs/export.md."""

import pytest

from geocompose.catalog import optional
from geocompose.export.onnx import write_onnx
from geocompose.export.pt2 import write_pt2
from tests.kit.bundles import learned_run
from tests.kit.exported import source_of

BACKBONES = {
    "prithvi": ("backbone=prithvi_eo_tiny", "backbone.embed_dim=48", "backbone.depth=4", "backbone.num_heads=4"),
    **{name: ("backbone=timm", f"backbone.name=test_{name}") for name in ("resnet", "vit", "convnext")},
    "swin": ("backbone=swin", "++backbone.kwargs={embed_dim: 24, depths: [1, 1, 2, 1], num_heads: [1, 2, 4, 8]}"),
    "unet": ("backbone=unet", "backbone.out_channels=8"),
}
DECODERS = {
    "upernet": ("decoder=upernet", "decoder.channels=16"),
    "unet": ("decoder=unet",),
    "fcn": ("decoder=fcn", "decoder.channels=8"),
    "identity": ("decoder=identity",),
}
CELLS = [
    ("segmentation", "upernet"),
    ("segmentation", "unet"),
    ("segmentation", "fcn"),
    ("regression", "fcn"),
    ("classification", "identity"),
]


@pytest.mark.slow
@pytest.mark.optional
@pytest.mark.skipif(not optional.installed("export"), reason="pip install -r requirements-export.txt")
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("kind", "decoder"), CELLS)
def test_a_composition_is_a_program_in_both_formats(kind, decoder, backbone, tmp_path):
    source = source_of(learned_run(tmp_path / "run", kind=kind, composition=(*BACKBONES[backbone], *DECODERS[decoder])))
    for name, write in (("model.pt2", write_pt2), ("model.onnx", write_onnx)):
        write(source, tmp_path / name)  # raises where the outputs differ by more than 1e-4
        assert (tmp_path / name).stat().st_size > 10_000
