"""The smallest difference of two runs' configurations beside that of their metrics and environments. Free of torch."""

from geocompose.cli import refuse_other_overrides
from geocompose.console import console
from geocompose.errors import UserError
from geocompose.experiment import Experiment
from geocompose.runs import load_rules
from geocompose.runs.find import any_run
from geocompose.runs.recorded import read_configuration
from geocompose.studies.compared import show_config, show_environment, show_metrics
from geocompose.studies.differences import config_differences, environment_differences, metric_differences


def diff(experiment: Experiment, runs: list[str]) -> None:
    """Print what differs between two runs, whichever state they are in; nothing that they name is imported.

    runs: their folders.

    Raises:
        UserError: there are not two of them, one is not a run's folder, or its record or configuration is damaged.
    """
    refuse_other_overrides(experiment, [], "this action compares what was recorded")
    if len(runs) != 2:
        raise UserError(f"action.runs must be the folders of two runs, [A, B]; got {len(runs)}.")
    first, second = map(any_run, runs)
    records = first.read(), second.read()
    rules = load_rules(experiment.conf_dir)
    one, other = (rules.now_named(read_configuration(run.config)) for run in (first, second))
    out = console()
    for name, run in (("first", first), ("second", second)):
        state = run.status()
        out.print(f"{name}: {run.path}" + (f" ({state})" if state != "completed" else ""))
    found = config_differences(one, other, rules)
    show_config(found)
    derived = not found.counted and not found.following
    show_environment(environment_differences((first, records[0]), (second, records[1]), derived=derived))
    show_metrics(metric_differences(records[0].metrics, records[1].metrics))
