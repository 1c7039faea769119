"""A bundle gives the run's model back, exactly, with its base or refused without."""

import json
import shutil

import peft
import pytest
import torch
import yaml
from safetensors.torch import load_file

from geocompose.errors import UserError
from geocompose.from_config import seed_weights
from geocompose.inference.trained import load_trained
from geocompose.models.seeding import PartSeeds
from geocompose.peft.qkv import split_qkv
from geocompose.registry import BACKBONE_REGISTRY
from geocompose.runs.bundle import is_bundle, read_bundle
from tests.kit.bundles import LORA, TIMM_VIT, bundle_of, learned_run, opened, outputs, relist
from tests.kit.made_runs import TINY, trained
from tests.kit.places import CONF

# What an option of peft needs to be told, where all of it is not in conf/.
TOLD = {"other": ("peft.method=LOKR", "peft.r=2"), "lora": ("peft.r=2",)}
OPTIONS = {
    path.stem: (f"peft={path.stem}", *TOLD.get(path.stem, ())) for path in sorted((CONF / "peft").glob("*.yaml"))
}
METHODS = {
    **OPTIONS,
    "with dora": (*LORA, "+peft.kwargs.use_dora=true"),
    "bias": (*LORA, "+peft.kwargs.bias=lora_only"),
    "trained beside": (*LORA, "+peft.kwargs.modules_to_save=[norm]"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a function that gives a run and its bundle, made once."""
    there = {}

    def make(name, *overrides, **more):
        if name not in there:
            folder = tmp_path_factory.mktemp("bundle")
            run = learned_run(folder / "run", *overrides, **more)
            there[name] = run, bundle_of(run, folder / "sent")
        return there[name]

    return make


@pytest.fixture
def lora(made, tmp_path):
    """A run with LoRA, and a bundle of it that may be changed."""
    run, bundle = made("lora", *METHODS["lora"])
    return run, shutil.copytree(bundle, tmp_path / "sent")


PLAIN = ("none", "frozen", "lora", "with dora", "bias", "trained beside")


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=[] if name in PLAIN else pytest.mark.slow) for name in METHODS]
)
def test_a_bundle_gives_the_runs_model_back(method, made):
    run, bundle = made(method, *METHODS[method])
    first, second = trained(run), trained(bundle)
    assert second.config == first.config
    assert second.data == first.data
    assert second.target == first.target
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    assert torch.equal(outputs(first.model), outputs(second.model))


def test_a_bundle_of_convolutions_brings_their_batch_norm_statistics(made):
    run, bundle = made("resnet", *LORA, composition=TINY)
    held = load_file(bundle / "model.safetensors")
    assert any(name.startswith("encoder.") and name.endswith("running_mean") for name in held)
    assert torch.equal(outputs(trained(run).model), outputs(trained(bundle).model))


def test_a_bundle_leaves_the_base_out_and_says_which_it_is(made):
    run, bundle = made("lora", *METHODS["lora"])
    manifest = read_bundle(bundle).manifest
    content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert manifest.base.sha256 == content["base"]["sha256"]
    assert (manifest.base.origin, manifest.base.seed, manifest.base.files) == ("random", 0, {})
    held = load_file(bundle / "model.safetensors") | load_file(bundle / "adapter" / "adapter_model.safetensors")
    assert sum(value.numel() for value in held.values()) == sum(
        value.numel() for value in content["state_dict"].values()
    )
    assert manifest.data["bands"] == ["BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"]
    assert manifest.data["target"]["names"] == ["water", "vegetation", "bare", "built"]
    assert manifest.data["normalization"]["mean"] == [1500.0] * 6


def test_a_bundle_of_full_fine_tuning_needs_no_base(made):
    _, bundle = made("none", *METHODS["none"])
    manifest = read_bundle(bundle).manifest
    assert manifest.base is None
    assert manifest.adapter is None
    assert not (bundle / "adapter").exists()


# --- PEFT by itself ---------------------------------------------------------------------------------------------------


def plain_backbone():
    """Return the backbone of the runs here, without any adapter, from the seed that they started from."""
    seed_weights(0)
    with PartSeeds.drawn().of("backbone"):
        return BACKBONE_REGISTRY.build(
            "prithvi_eo_tiny", embed_dim=32, depth=2, num_heads=2, img_size=32, out_indices=[-1]
        )


@pytest.mark.parametrize("method", ["lora", "with dora", "bias", "trained beside"])
def test_plain_peft_opens_the_adapter_on_the_plain_backbone(method, made):
    run, bundle = made(method, *METHODS[method])
    backbone = plain_backbone().eval()
    split_qkv(backbone, "qkv")
    adapted = peft.PeftModel.from_pretrained(backbone, bundle / "adapter").eval()
    images = torch.randn(2, 6, 32, 32, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        ours, theirs = trained(run).model.encoder(images), adapted(images)
    torch.testing.assert_close(theirs[-1], ours[-1], rtol=0, atol=0)


# --- another base -----------------------------------------------------------------------------------------------------


def reseed(bundle, seed):
    config = yaml.safe_load((bundle / "config.yaml").read_text())
    config["seed"] = seed
    (bundle / "config.yaml").write_text(yaml.safe_dump(config))
    relist(bundle, "config.yaml")


def test_other_random_numbers_as_base_are_refused(lora):
    _, bundle = lora
    reseed(bundle, 1)
    with pytest.raises(UserError, match=r"sha256 differs.*drawn anew from the run's seed"):
        trained(bundle)


@pytest.fixture(scope="module")
def on_a_file(tmp_path_factory):
    """A run with LoRA on weights of a file, its bundle, and the file."""
    folder = tmp_path_factory.mktemp("file")
    start = learned_run(folder / "start", composition=TIMM_VIT)
    weights = folder / "weights" / "start.pt"
    weights.parent.mkdir()
    torch.save(trained(start).model.encoder.state_dict(), weights)
    named = [f"backbone.ckpt_path={weights}"]
    run = learned_run(folder / "run", *LORA, *named, composition=TIMM_VIT)
    return run, bundle_of(run, folder / "sent"), weights


def elsewhere(bundle, path, tmp_path):
    """Return a copy of a bundle as somebody has it to whom the author's path says nothing."""
    sent = shutil.copytree(bundle, tmp_path / "received")
    text = (sent / "config.yaml").read_text()
    (sent / "config.yaml").write_text(text.replace(str(path.parent), "/of/the/author"))
    relist(sent, "config.yaml")
    return sent


def test_a_base_in_a_file_is_found_where_the_user_says(on_a_file, tmp_path):
    run, bundle, weights = on_a_file
    assert read_bundle(bundle).manifest.base.origin == "file"
    sent = elsewhere(bundle, weights, tmp_path)
    with pytest.raises(UserError, match=r"the base is not here: .*/of/the/author/start\.pt.*action\.base=FILE"):
        trained(sent)
    for base in (weights, weights.parent):
        model = load_trained(opened(sent, base)).model
        assert torch.equal(outputs(model), outputs(trained(run).model))


def test_the_base_of_a_runs_own_folder_is_found_where_the_user_says_too(on_a_file, tmp_path):
    run, _, weights = on_a_file
    moved = shutil.copytree(run, tmp_path / "run")
    text = (moved / "config.yaml").read_text()
    (moved / "config.yaml").write_text(text.replace(str(weights.parent), "/of/the/author"))
    assert torch.equal(outputs(load_trained(opened(moved, weights)).model), outputs(trained(run).model))


def test_another_file_as_base_is_refused(on_a_file, tmp_path):
    _, bundle, weights = on_a_file
    content = torch.load(weights, weights_only=True)
    content[next(iter(content))] += 1
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"other\.pt is not the base of the bundle"):
        load_trained(opened(bundle, tmp_path / "other.pt"))


def test_a_base_for_a_run_that_needs_none_is_refused(made, on_a_file):
    for method, match in (("none", "holds all weights"), ("lora", "started from no file")):
        _, bundle = made(method, *METHODS[method])
        with pytest.raises(UserError, match=f"would change nothing: .*{match}"):
            load_trained(opened(bundle, on_a_file[2]))


def test_a_run_that_kept_a_base_which_is_gone_gives_a_bundle_with_it(on_a_file, tmp_path):
    run, _, weights = on_a_file
    whole = shutil.copytree(run, tmp_path / "run")
    state = {f"model.{name}": value for name, value in trained(run).model.state_dict().items()}
    torch.save({"state_dict": state}, whole / "checkpoints" / "best.ckpt")
    text = (whole / "config.yaml").read_text()
    (whole / "config.yaml").write_text(text.replace(str(weights.parent), "/of/the/author"))
    bundle = bundle_of(whole, tmp_path / "sent")
    assert read_bundle(bundle).manifest.base is None
    assert torch.equal(outputs(trained(bundle).model), outputs(trained(run).model))


# --- the folder -------------------------------------------------------------------------------------------------------


def test_a_bundle_is_told_from_a_runs_folder(lora):
    run, bundle = lora
    assert is_bundle(bundle)
    assert not is_bundle(run)
    assert not is_bundle(bundle / "adapter")


def test_a_bundle_holds_what_its_manifest_lists_and_no_more(lora):
    _, bundle = lora
    files = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert files == {"manifest.json", *json.loads((bundle / "manifest.json").read_text())["files"]}


def test_the_text_of_ones_own_code_travels_with_a_bundle(lora, tmp_path):
    run = shutil.copytree(lora[0], tmp_path / "run")
    (run / "code" / "my_lab").mkdir(parents=True)
    (run / "code" / "my_lab" / "net.py").write_text("import torch\n")
    bundle = bundle_of(run, tmp_path / "with_code")
    assert (bundle / "code" / "my_lab" / "net.py").read_text() == "import torch\n"
    assert "code/my_lab/net.py" in read_bundle(bundle).manifest.files
    (run / "code" / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"code/notes\.txt, which is not a Python module"):
        bundle_of(run, tmp_path / "again")
