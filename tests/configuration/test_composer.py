"""Cells that are composed out of what they have in common are what Hydra composes of each."""

from collections.abc import Iterator

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from geocompose.configuration.composer import Composer
from tests.kit.places import CONF


@pytest.fixture(scope="module")
def loader() -> Iterator[ConfigLoaderImpl]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


@pytest.fixture(scope="module")
def sweep(loader: ConfigLoaderImpl) -> DictConfig:
    return loader.load_configuration("config", ["hydra.mode=MULTIRUN"], run_mode=RunMode.MULTIRUN)


@pytest.mark.parametrize(
    "cells",
    [
        [["seed=0"], ["seed=1"], []],
        [["backbone=timm", "backbone.name=a", "seed=0"], ["seed=1", "backbone.name=b", "backbone=timm"]],
        [["experiment=plain_loop/resnet18_smp_unet", "trainer.max_epochs=3"], ["task=regression", "data.tile_px=32"]],
        [["+foo=1"], ["++foo.bar=2", "foo.bar=3"], ["~seed"], ["~scheduler"]],
        [["backbone=fusion", "backbone@backbone.parts.s1=timm", "backbone.parts.s1.name=a"], ["backbone=fusion"]],
        [["++data={root: c}"], ["peft=lora", "++peft.kwargs.use_dora=true"], ["logger=csv", "logger=csv"]],
        [["backbone=own", "backbone._target_=my.Net", "++backbone.width=3"], ["neck=list", "neck.necks=[{name: A}]"]],
        [["optimizer.lr=${seed}"], ["study=${hydra:job.num}"]],
    ],
)
def test_a_cell_is_what_hydra_composes(loader: ConfigLoaderImpl, sweep: DictConfig, cells: list[list[str]]):
    composer = Composer(loader, sweep)
    for cell in [*cells, *cells]:
        ours, theirs = composer.compose(cell), loader.load_sweep_config(sweep, cell)
        assert OmegaConf.to_container(ours, resolve=False) == OmegaConf.to_container(theirs, resolve=False)
        assert OmegaConf.is_struct(ours)
        assert ours._get_flag("readonly") == theirs._get_flag("readonly")


@pytest.mark.parametrize(
    "cell",
    [
        ["backbone=nothing"],
        ["sed=1"],
        ["seed=1,2"],
        ["+seed=1"],
        ["~sed"],
        ["backbone.nam=a"],
        ["seed=[1"],
        ["++task=a"],
    ],
)
def test_a_cell_that_hydra_refuses_is_refused(loader: ConfigLoaderImpl, sweep: DictConfig, cell: list[str]):
    composer = Composer(loader, sweep)
    composer.compose(["seed=0"])
    with pytest.raises(HydraException) as theirs:
        loader.load_sweep_config(sweep, cell)
    with pytest.raises(HydraException) as ours:
        composer.compose(cell)
    assert (type(ours.value), str(ours.value)) == (type(theirs.value), str(theirs.value))


def test_files_are_read_once_for_all_cells_with_the_same_options(loader, sweep, monkeypatch):
    composed: list[list[str]] = []
    original = ConfigLoaderImpl.load_sweep_config

    def count(self: ConfigLoaderImpl, master: DictConfig, overrides: list[str]) -> DictConfig:
        composed.append(overrides)
        return original(self, master, overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", count)
    composer = Composer(loader, sweep)
    for seed in range(5):
        for decoder in ("fcn", "unet"):
            composer.compose([f"decoder={decoder}", f"seed={seed}"])
    assert composed == [["decoder=fcn"], ["decoder=unet"]]
