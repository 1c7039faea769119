"""Auxiliary heads come along as TerraTorch builds them: with the main head's arguments, whatever theirs are."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.kit.made_runs import trained
from tests.kit.terratorch_runs import a_run, call, conf, fate, only_run, translated

__all__ = ["conf"]

RECORDED = Path(__file__).parent / "recorded" / "auxiliary"


def test_a_checkpoint_with_auxiliary_heads_gives_terratorchs_recorded_logits(conf):
    call(conf, config=str(RECORDED / "config.yaml"), ckpt=str(RECORDED / "model.ckpt"))
    recorded = load_file(RECORDED / "logits.safetensors")
    model = trained(only_run().path).model
    assert model.aux_heads["aux"][1].head[2].weight.shape == (2, 6, 1, 1)
    with torch.no_grad():
        output = model(recorded["input.image"])
    torch.testing.assert_close(output.output, recorded["output.output"], atol=1e-4, rtol=0)
    torch.testing.assert_close(output.auxiliary_heads["aux"], recorded["output.aux.aux"], atol=1e-4, rtol=0)


def test_an_auxiliary_heads_own_arguments_are_listed_where_the_main_heads_come_in_their_place():
    own = {"decoder_channels": 4, "head_channel_list": [5, 3], "head_dropout": 0.1}
    heads = [{"name": "aux", "decoder": "FCNDecoder", "decoder_args": own}]
    to = translated(a_run(model_args={"head_channel_list": [6]}, aux_heads=heads, aux_loss={"aux": 0.4}))
    (head,) = to.values["auxiliary"]["decoders"]
    assert head["decoder_args"] == {
        "decoder_channels": 4, "head_channel_list": [6], "head_dropout": 0.1, "head_kernel_size": 1,
    }  # fmt: skip
    assert "gives auxiliary heads the main head's arguments" in fate(to, "decoder_args.head_channel_list")
    assert fate(to, "decoder_args.head_dropout").startswith("carried")
