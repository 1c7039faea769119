"""Data modules of each kind, as a configuration's declaration makes them; named after the options of conf/data."""

from collections.abc import Callable
from functools import partial
from typing import Any

from geocompose.data import sources, unlabelled
from geocompose.data.declaration import DataSource
from geocompose.data.module import SceneData
from geocompose.data.synthetic import sources as synthetic_sources

Make = Callable[..., SceneData]


def _module(source: type[DataSource], **arguments: Any) -> SceneData:
    return SceneData(source(**arguments))


geotiff: Make = partial(_module, sources.GeoTiffSegmentation)
geotiff_regression: Make = partial(_module, sources.GeoTiffRegression)
geotiff_classification: Make = partial(_module, sources.GeoTiffClassification)
geotiff_multilabel: Make = partial(_module, sources.GeoTiffMultilabel)
geotiff_reconstruction: Make = partial(_module, unlabelled.GeoTiffReconstruction)
geotiff_scalar_regression: Make = partial(_module, sources.GeoTiffScalarRegression)

synthetic_segmentation: Make = partial(_module, synthetic_sources.SyntheticSegmentation)
synthetic_regression: Make = partial(_module, synthetic_sources.SyntheticRegression)
synthetic_classification: Make = partial(_module, synthetic_sources.SyntheticClassification)
synthetic_reconstruction: Make = partial(_module, synthetic_sources.SyntheticReconstruction)
synthetic_multilabel: Make = partial(_module, synthetic_sources.SyntheticMultilabel)
synthetic_scalar_regression: Make = partial(_module, synthetic_sources.SyntheticScalarRegression)
