"""Arguments and features that a neck refuses."""

import pytest
import torch
from omegaconf import OmegaConf

from geocompose.errors import UserError
from geocompose.necks.layout import PermuteDims
from geocompose.registry import NECK_REGISTRY


@pytest.mark.parametrize(
    ("name", "widths", "arguments", "message"),
    [
        ("SelectIndices", [8, 8], {"indices": [0, 2]},
         r"there are 2 features, so indices go from 0 to 1 \(or -2 to -1\); got \[0, 2\]. Write for example \[0, 1\]"),
        ("SelectIndices", [8, 8], {"indices": []}, r"got \[\]"),
        ("SelectIndices", [8, 8], {"indices": 1}, r"SelectIndices: indices must be a list, such as \[-1\]; got 1"),
        ("SelectIndices", [8, 8], {"indices": "01"}, "indices must be a list, such as .*; got '01'"),
        ("SelectIndices", [8, 8], {"indices": [0.5]}, "Each of SelectIndices: indices must be a whole number; got 0.5"),
        ("SelectIndices", [8, 8], {"indices": [True]}, "must be a whole number; got True"),
        ("AggregateTokens", [8], {"pooling": "avg"}, "no pooling 'avg'.*Allowed: mean, max, min, cls, a number"),
        ("AggregateTokens", [8], {"pooling": "men"}, "Did you mean 'mean'"),
        ("AggregateTokens", [8], {"pooling": 1.5}, "pooling, where it names a token, must be a whole number; got 1.5"),
        ("AggregateTokens", [8], {"pooling": "CLS", "drop_cls": True},
         "pooling=cls takes the class token, which drop_cls=true drops"),
        ("AggregateTokens", [8], {"index": 1}, r"AggregateTokens: there is 1 feature, .* got \[1\]"),
        ("AggregateTokens", [8, 8], {"index": 0, "indices": [1]}, r"give indices \(\[1\]\) or index \(0\), not both"),
        ("AggregateTokens", [8], {"indices": "all"}, "indices must be a list"),
        ("ReshapeTokensToImage", [8], {"effective_time_dim": 0},
         "effective_time_dim, the frames, must be a whole number, 1 or more; got 0"),
        ("ReshapeTokensToImage", [8], {"h": 0}, "h, the rows of the grid, must be a whole number, 1 or more; got 0"),
        ("ReshapeTokensToImage", [8], {"num_prefix_tokens": -1},
         "num_prefix_tokens must be a whole number, 0 or more; got -1"),
        ("ReshapeTokensToImage", [8], {"num_prefix_tokens": 5, "remove_cls_token": False},
         "remove_cls_token=false says .* num_prefix_tokens=5"),
        ("PermuteDims", [8], {"new_order": [0, 3, 1]},
         r"names each dimension once, such as \[0, 3, 1, 2\]; got \[0, 3, 1\]"),
        ("PermuteDims", [8], {"new_order": []}, "names each dimension once"),
        ("PermuteDims", [8], {"new_order": 3}, r"PermuteDims: new_order must be a list, such as \[0, 3, 1, 2\]; got 3"),
        ("LearnedInterpolateToPyramidal", [6, 8, 8, 8], {},
         "level 0 is enlarged 4 times .* must be a multiple of 4; got .* Select other or fewer layers"),
        ("LearnedInterpolateToPyramidal", [8, 7, 8, 8], {}, "level 1 is enlarged 2 times .* must be a multiple of 2"),
        ("LearnedInterpolateToPyramidal", [48] * 12, {},
         "12 features make a pyramid whose level 0 is enlarged 1024 times"),
        ("InterpolateToPyramidal", [8], {"scale_factor": 1}, "scale_factor must be a whole number, 2 or more; got 1"),
        ("InterpolateToPyramidal", [8], {"scale_factor": 2.5}, "factor must be a whole number, 2 or more; got 2.5"),
        ("InterpolateToPyramidal", [8], {"mode": "cubic"}, "no mode 'cubic'. Did you mean 'bicubic'"),
        ("MaxpoolToPyramidal", [8], {"kernel_size": 1}, "kernel_size must be a whole number, 2 or more; got 1"),
        ("LearnedInterpolateToPyramidal", [6, 7, 8, 8], {},
         r"or project them: \{name: ProjectChannels, channels: \[8, 8, 8, 8\]\}"),
        ("LearnedInterpolateToPyramidal", [8, 8], {"exponents": [1]},
         r"exponents has one number per feature: 2 here, got \[1\]"),
        ("InterpolateToPyramidal", [8, 8], {"exponents": 2},
         r"InterpolateToPyramidal: exponents must be a list, such as .*; got 2"),
        ("MaxpoolToPyramidal", [8, 8], {"exponents": [1, 0]},
         r"exponents must be 0 or less, since it enlarges nothing; got \[1, 0\]"),
        ("ProjectChannels", [8, 8], {"channels": [8]}, r"one width, or a list of one per feature: 2 here, got \[8\]"),
        ("ProjectChannels", [8, 8], {"channels": 0}, "ProjectChannels: channels must be a whole number, .*; got 0"),
        ("ProjectChannels", [8, 8], {"channels": "8"},
         "ProjectChannels: channels must be a list, such as 256, or .*; got '8'"),
        ("PermuteDims", [8], {"new_order": [0, 2, 1], "indices": [1]},
         "PermuteDims: there is 1 feature, so indices go from 0 to 0"),
        ("ReshapeTokensToImage", [8], {"indices": []}, r"ReshapeTokensToImage: .* got \[\]"),
        ("AddBottleneckLayer", [8, 1], {},
         "the last feature's width, which is halved, must be a whole number, 2 or more; got 1"),
        ("FeaturePyramidNetworkNeck", [8], {"out_channel": 0}, "out_channel must be a whole number, 1 or more; got 0"),
        ("FeaturePyramidNetworkNeck", [8], {"output_ordered_dict": True}, "returns a list of maps.* write false"),
    ],
)  # fmt: skip
def test_an_argument_that_cannot_be_is_refused(name, widths, arguments, message):
    with pytest.raises(UserError, match=message):
        NECK_REGISTRY[name](widths, **arguments)


@pytest.mark.parametrize(("shape", "order"), [((2, 9, 3), "[0, 3, 1, 2]"), ((2, 3, 4, 5), "[0, 2, 1]")])
def test_a_permutation_of_another_number_of_dimensions_is_refused(shape, order):
    neck = PermuteDims([3], new_order=list(OmegaConf.create(order)))
    with pytest.raises(UserError, match=r"is for features of \d dimensions; got one of shape"):
        neck([torch.zeros(shape)])


def test_flattening_takes_maps_and_tokens_alone():
    with pytest.raises(UserError, match=r"FlattenMapsToTokens takes maps .* got a feature of shape"):
        NECK_REGISTRY.build("FlattenMapsToTokens", [3])([torch.zeros(2, 3)])
