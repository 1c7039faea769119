"""Command lines of quick runs on small three-band GeoTIFFs that lie at one place."""

from tests.kit.command import SMALL

NAMES = ["BLUE", "GREEN", "RED"]
QUICK = [text for text in SMALL if not text.startswith(("data.num_scenes", "data.scene_px"))]
DATA = (
    "data=geotiff",
    "data.images=*_img.tif",
    "data.labels=*_lab.tif",
    "data.class_names=[a,b]",
    "data.allow_overlap=true",
)
