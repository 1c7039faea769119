"""Configurations of the shapes that TerraTorch's own repository has, and what becomes of each.

Made up here: the parts, keys and kinds of values are those of its examples and tests, the numbers and folders are not.
"""

from dataclasses import dataclass
from typing import Any

from tests.kit.terratorch_trees import (
    ASPP,
    FROM_SCRATCH,
    HLS,
    INTERVALS,
    NUMBERED,
    PYRAMID,
    UNET,
    UPERNET,
    a_run_of,
    data_of,
    of_classification,
    of_regression,
    of_scratch_unet,
    of_segmentation,
    of_smp,
)


@dataclass(frozen=True)
class Shape:
    """A configuration and what becomes of it.

    refused: what its refusal says; None where it is imported. needs: the optional source that it can't do without.
    """

    tree: dict[str, Any]
    refused: str | None = None
    needs: str | None = None


TIMM = {"backbone_pretrained": True, "num_classes": 3, "backbone_in_chans": 6, "head_channel_list": [16], **UNET}
SELECTED = {"necks": [{"name": "SelectIndices", "indices": [0, 1, 2, 3]}]}
SIX_NUMBERED = {"dataset_bands": NUMBERED, "output_bands": NUMBERED}
NO_TASK = "names no task: its `model` has no class_path, and is"
TERRAMIND = {
    "backbone": "terramind_v1_base",
    "backbone_pretrained": False,
    "backbone_modalities": ["S2L2A"],
    "backbone_bands": {"S2L2A": HLS},
    "necks": PYRAMID,
    **UNET,
}
CROPS = {
    "reduce_zero_label": True,
    "expand_temporal_dimension": True,
    "dataset_bands": HLS,
    "train_transform": [
        {"class_path": "FlattenTemporalIntoChannels"},
        {"class_path": "albumentations.D4"},
        {"class_path": "UnflattenTemporalFromChannels", "init_args": {"n_timesteps": 3}},
    ],
}

SHAPES: dict[str, Shape] = {
    # PrithviModelFactory
    "prithvi without necks under UPerNet": Shape(of_regression({"backbone": "prithvi_eo_v1_100", **UPERNET})),
    "prithvi by its earlier name": Shape(of_regression({"backbone": "prithvi_vit_100", **UPERNET})),
    "prithvi of another patch": Shape(
        of_regression({"backbone": "prithvi_eo_tiny", "backbone_patch_size": 13, **UPERNET})
    ),
    "prithvi with an MLP": Shape(of_regression({"backbone": "prithvi_vit_100", "decoder": "MLPDecoder"})),
    "bands as whole numbers": Shape(
        of_regression(
            {"backbone": "prithvi_eo_tiny", "bands": [1, 2, 3, 4, 5, 6], **UPERNET},
            dataset_bands=[0, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4],
            output_bands=[1, 2, 3, 4, 5, 6],
        )
    ),
    "a loss of one's own": Shape(of_regression({"backbone": "prithvi_eo_tiny", **UPERNET}) | {"out_dtype": "float32"}),
    "frames and labels from 1 on": Shape(
        of_segmentation(
            {
                "backbone": "prithvi_vit_100",
                "decoder": "FCNDecoder",
                "decoder_channels": 8,
                "rescale": False,
                **FROM_SCRATCH,
                "num_frames": 3,
            },
            factory="PrithviModelFactory",
            data=CROPS,
            class_names=["forest", "corn"],
            class_weights=[0.3, 0.7],
        )
    ),
    "swin": Shape(
        of_regression({"backbone": "prithvi_swin_B", "pretrained": True, "backbone_drop_path_rate": 0.3, **UPERNET})
    ),
    "large swin": Shape(
        of_regression(
            {"backbone": "prithvi_swin_L", "backbone_window_size": 7, "decoder": "FCNDecoder", "decoder_channels": 8}
        )
    ),
    "swin with intervals of bands": Shape(of_regression({"backbone": "prithvi_swin_B", **UPERNET}, **INTERVALS)),
    "swin with statistics in files": Shape(
        of_regression({"backbone": "prithvi_swin_B", **UPERNET}, means="means.txt", stds="stds.txt")
    ),
    "swin with bands of other names": Shape(
        of_regression(
            {"backbone": "prithvi_swin_B", **UPERNET},
            dataset_bands=[f"band_{place}" for place in range(1, 11)],
            output_bands=[f"band_{place}" for place in range(2, 8)],
        )
    ),
    "swin under a U-Net": Shape(
        of_segmentation(
            {**FROM_SCRATCH, "backbone": "prithvi_swin_B", "bands": NUMBERED, **UNET},
            factory="PrithviModelFactory",
            data=SIX_NUMBERED,
        )
    ),
    "swin for images": Shape(
        of_classification(
            {**FROM_SCRATCH, "backbone": "prithvi_swin_B", "decoder": "IdentityDecoder", "head_dim_list": [16]},
            "PrithviModelFactory",
            {"dataset_bands": [1, "BLUE", "GREEN", "RED", 5, 6, "NIR_NARROW", "SWIR_1", "SWIR_2"]},
        )
    ),
    # EncoderDecoderFactory
    "prithvi with necks and bands without names": Shape(
        of_segmentation(
            {
                "backbone": "prithvi_eo_v1_100",
                "backbone_pretrained": True,
                "backbone_bands": NUMBERED,
                "necks": PYRAMID,
                **UNET,
            },
            data=SIX_NUMBERED,
        )
    ),
    "auxiliary head": Shape(
        of_segmentation(
            {"backbone": "prithvi_vit_100", "decoder": "FCNDecoder", "decoder_channels": 8, "backbone_bands": HLS},
            aux_heads=[
                {"name": "aux", "decoder": "FCNDecoder", "decoder_args": {"decoder_channels": 8, "head_dropout": 0.2}}
            ],
            aux_loss={"aux": 1.0},
        )
    ),
    **{
        f"timm's {name} with another number of classes": Shape(
            of_segmentation({"backbone": f"timm_{name}", **TIMM, **SELECTED}, data=SIX_NUMBERED)
        )
        for name in ("resnet18", "convnext_tiny.fb_in22k")
    },
    "a data module of one data set": Shape(
        of_segmentation(
            {"backbone": "prithvi_eo_tiny", "backbone_bands": HLS, "decoder": "FCNDecoder"},
            module="MultiTemporalCropClassificationDataModule",
        )
    ),
    # SMPModelFactory, TimmModelFactory
    "smp": Shape(of_smp()),
    "smp with its arguments": Shape(
        of_smp(pretrained=False, smp_encoder_depth=4, smp_decoder_channels=[64, 32, 16, 8])
    ),
    "smp over timm": Shape(of_smp(backbone="tu-resnet18", pretrained=False, model="FPN")),
    "a whole classifier of timm": Shape(
        of_classification(
            {"backbone": "vit_tiny_patch16_224", "pretrained": False, "in_channels": 6}, "TimmModelFactory", {}
        )
    ),
    # GenericUnetModelFactory
    "UNet alone": Shape(of_scratch_unet({"backbone": "UNet", "backbone_in_channels": 6, "decoder_num_classes": 2})),
    "UNet and ASPP": Shape(
        of_scratch_unet(
            {
                "backbone": "UNet",
                "backbone_base_channels": 4,
                "decoder": "ASPPSegmentationHead",
                "decoder_in_channels": 4,
                **ASPP,
            }
        )
    ),
    "ASPP alone": Shape(of_scratch_unet({"decoder": "ASPPSegmentationHead", "decoder_num_classes": 2, **ASPP})),
    "UNet and ASPP of numbers": Shape(
        of_regression(
            {
                "backbone": "UNet",
                "backbone_upsample_cfg": {"scale_factor": 2},
                "decoder": "ASPPRegressionHead",
                "decoder_out_channels": 1,
                **ASPP,
            },
            factory="GenericUnetModelFactory",
        )
    ),
    # Reconstruction
    "a masked autoencoder": Shape(
        a_run_of(
            "ReconstructionTask",
            "GenericNonGeoPixelwiseRegressionDataModule",
            {"pretrained": False, "model": "prithvi_eo_v1_100_mae"},
            data_of(),
            model_factory="FullModelFactory",
            loss="mse",
            freeze_encoder=False,
            ignore_index=-1,
        )
    ),
    # What can't be
    "object detection": Shape(
        a_run_of("ObjectDetectionTask", "mVHR10DataModule", {"framework": "faster-rcnn"}, {"batch_size": 2}),
        refused="ObjectDetectionTask is object detection, which has no counterpart here",
    ),
    "embeddings": Shape(
        a_run_of("EmbeddingGenerationTask", "GenericMultiModalDataModule", {"modalities": ["S2L2A"]}, {}),
        refused="EmbeddingGenerationTask is the writing of embeddings, which has no counterpart here",
    ),
    "weather by its task": Shape(
        a_run_of("WxCDownscalingTask", "Merra2DownscaleNonGeoDataModule", {"embed_dim": 256}, {}),
        refused="WxCDownscalingTask is weather downscaling, which has no counterpart here",
    ),
    "weather without a task": Shape(
        {"data": {"type": "merra2"}, "model": {"embed_dim": 256, "n_blocks_encoder": 2, "token_size": [1, 1]}},
        refused=rf"{NO_TASK} a weather model's \(n_blocks_encoder, token_size\)",
    ),
    "no configuration of TerraTorch": Shape({"model": {"type": "dense"}}, refused=f"{NO_TASK} not one that"),
    "a pretraining of earlier versions": Shape(
        a_run_of(
            "PreTrainTask", "GenericNonGeoPixelwiseRegressionDataModule", {"backbone": "prithvi_vit_100"}, data_of()
        ),
        refused="PreTrainTask is a pretraining that TerraTorch 1.2 has no more, which can't be imported. task=reconstr",
    ),
    "Clay 1.5": Shape(
        of_segmentation({"backbone": "prithvi_eo_v2_300", "decoder": "FCNDecoder"}, factory="Clay1_5ModelFactory"),
        refused="model_factory=Clay1_5ModelFactory can't be imported: it builds Clay 1.5",
    ),
    "a backbone of one's own": Shape(
        of_segmentation({"backbone": "AlexNetEncoder", "decoder": "IdentityDecoder"}),
        refused="model_args.backbone=AlexNetEncoder: there is no such backbone here, nor in TerraTorch 1.2.11",
    ),
    "a decoder that is nowhere": Shape(
        of_regression({"backbone": "prithvi_vit_100", "decoder": "SegmenterDecoder"}),
        refused=r"model_args.decoder=SegmenterDecoder: there is no such decoder here\. Allowed",
    ),
    "a whole model that is not Prithvi's": Shape(
        a_run_of(
            "ReconstructionTask",
            "GenericMultiModalDataModule",
            {"model": "terramind_v1_base_generate"},
            {},
            model_factory="FullModelFactory",
        ),
        refused="model=terramind_v1_base_generate can't be imported: only Prithvi's autoencoders",
    ),
    "mmsegmentation's backbone": Shape(
        of_scratch_unet({"backbone": "ResNetV1c"}),
        refused="would take it from mmsegmentation, whose backbones are not here",
    ),
    # What optional packages have
    "TerraMind": Shape(of_segmentation(TERRAMIND), needs="terratorch"),
    "Clay by its own factory": Shape(
        of_segmentation({"backbone": "clay", "decoder": "FCNDecoder", "in_channels": 6}, factory="ClayModelFactory"),
        needs="terratorch",
    ),
    "Clay": Shape(
        of_segmentation(
            {"backbone": "clay_v1_base", "backbone_bands": [0, 1, 2, 3, 4, 5], "necks": PYRAMID, **UNET},
            data=SIX_NUMBERED,
        ),
        needs="terratorch",
    ),
    "DOFA": Shape(
        of_segmentation(
            {
                "backbone": "dofa_base_patch16_224",
                "backbone_model_bands": HLS,
                "necks": PYRAMID[:2],
                "decoder": "FCNDecoder",
            }
        ),
        needs="torchgeo",
    ),
    "mmsegmentation's decoder": Shape(
        of_regression(
            {"backbone": "prithvi_swin_B", "decoder": "UPerHead", "decoder_channels": 8, "decoder_num_classes": 1}
        ),
        needs="mmseg",
    ),
}
