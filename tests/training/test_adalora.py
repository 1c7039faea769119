"""AdaLoRA in a run: its ranks follow the steps, and a run that was stopped goes on as if it had not been."""

import torch

from tests.actions.test_fit import undisturbed_and_resumed
from tests.kit.command import SMALL, only_run, record_of

ADALORA = ("peft=adalora", "peft.r=2", "peft.init_r=4", "peft.warmup=0.2", "peft.final=0.4")


def last(study: str):
    return torch.load(only_run(study) / "checkpoints" / "last.ckpt", weights_only=False)


def test_a_run_of_adalora_ends_with_its_ranks_and_resumes_as_if_undisturbed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    undisturbed_and_resumed(monkeypatch, [*SMALL, *ADALORA, "trainer.max_epochs=4", "trainer.keep=[best,last]"])
    whole, resumed = last("undisturbed"), last("stopped")
    values = [value for name, value in whole["state_dict"].items() if "lora_E" in name]
    # Values of no importance at all, such as behind a norm that starts at 0, are taken away beyond the budget.
    assert 0 < sum(int((value != 0).sum()) for value in values) <= 2 * len(values)
    assert whole["state_dict"].keys() == resumed["state_dict"].keys()
    assert all(torch.equal(value, resumed["state_dict"][name]) for name, value in whole["state_dict"].items())
    assert record_of(only_run("stopped"))["metrics"] == record_of(only_run("undisturbed"))["metrics"]
    said = record_of(only_run("undisturbed"))["said"]
    assert any(line.startswith("PEFT ADALORA: ") and "modules of the backbone adapted" in line for line in said)
