"""Hydra's launchers and sweepers are answered with what to write instead, whether their plugin is installed or not."""

import pytest

from geocompose.configuration import hydra_plugins
from geocompose.configuration.hydra_plugins import check_hydra_plugins
from geocompose.errors import UserError


@pytest.mark.parametrize(
    ("override", "package", "instead"),
    [
        ("hydra/launcher=joblib", "hydra-joblib-launcher", "launcher=local launcher.workers=N"),
        ("hydra/launcher=submitit_slurm", "hydra-submitit-launcher", "launcher=slurm hands"),
        ("hydra/launcher=submitit_local", "hydra-submitit-launcher", "launcher=slurm launcher.cluster=local"),
        ("hydra/launcher=ray", "hydra-ray-launcher", "launcher=ray"),
        ("hydra/launcher=ray_aws", "hydra-ray-launcher", "launcher=ray launcher.address="),
        ("+hydra/launcher=rq", "hydra-rq-launcher", "action=work"),
        ("hydra/launcher=my_own", "Hydra's launchers are", "launcher=local"),
        ("hydra.launcher.n_jobs=4", "hydra.launcher.n_jobs=4", "launcher=local launcher.workers=N"),
        ("hydra.sweeper.max_batch_size=2", "Hydra's sweepers are not used", "launcher=local launcher.workers=N"),
        ("hydra/sweeper=optuna", "hydra-optuna-sweeper", "Leave it out"),
        ("hydra/sweeper=basic", "geocompose's own sweeper", "Leave it out"),
    ],
)
def test_what_is_not_used_here_is_refused_with_what_to_write_instead(override, package, instead):
    with pytest.raises(UserError) as error:
        check_hydra_plugins(["backbone=a,b", override])
    assert override in str(error.value)
    assert package in str(error.value)
    assert instead in str(error.value)


@pytest.mark.parametrize("group", ["job_logging", "hydra_logging"])
def test_an_option_of_a_package_that_is_missing_names_the_package(group, monkeypatch):
    monkeypatch.setattr(hydra_plugins, "_is_installed", lambda package: False)
    with pytest.raises(UserError, match="pip install hydra-colorlog"):
        check_hydra_plugins([f"hydra/{group}=colorlog"])
    monkeypatch.setattr(hydra_plugins, "_is_installed", lambda package: True)
    check_hydra_plugins([f"hydra/{group}=colorlog"])


def test_what_is_used_here_is_left_alone():
    check_hydra_plugins(["hydra/launcher=basic", "hydra/sweeper=geocompose", "hydra.verbose=true", "launcher=local"])
    check_hydra_plugins(["backbone=[a"])
