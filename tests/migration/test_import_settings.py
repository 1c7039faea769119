"""What becomes of the settings of a TerraTorch configuration, group by group."""

import pytest

from tests.kit.terratorch_runs import a_run, decided, fate, translated


@pytest.mark.parametrize(
    ("sections", "option", "values"),
    [
        ({"optimizer": "AdamW", "lr": 1e-3}, "adamw", {"lr": 1e-3, "weight_decay": 0.01}),  # torch's own default
        ({"lr": 1e-3}, "adam", {"lr": 1e-3, "weight_decay": 0.0}),
        ({"optimizer": "SGD", "optimizer_hparams": {"momentum": 0.5, "lr": 0.1}}, "sgd", {"lr": 0.1, "momentum": 0.5}),
    ],
)
def test_an_optimizer_named_by_the_task_keeps_torchs_defaults(sections, option, values):
    to = translated(a_run(**sections))
    assert to.choices["optimizer"] == option
    assert to.values["optimizer"] | values == to.values["optimizer"]


def test_the_sections_of_optimizer_and_scheduler_win_over_the_tasks_arguments():
    to = translated(
        a_run(
            {
                "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 2e-4, "amsgrad": True}},
                "lr_scheduler": {
                    "class_path": "ReduceLROnPlateau",
                    "init_args": {"monitor": "val/loss", "patience": 7, "mode": "min"},
                },
            },
            lr=1.0,
            scheduler="StepLR",
        )
    )
    assert to.values["optimizer"]["lr"] == 2e-4
    assert to.choices["scheduler"] == "plateau"
    assert to.values["scheduler"]["patience"] == 7
    assert fate(to, "model.init_args.lr") == "not needed: the section `optimizer` wins over it"
    assert fate(to, "model.init_args.scheduler") == "not needed: the section `lr_scheduler` wins over it"
    assert fate(to, "optimizer.init_args.amsgrad").startswith("not carried over")
    assert fate(to, "lr_scheduler.init_args.monitor").startswith("not needed: runs go by the selection metric")


def test_optimizers_and_schedulers_without_counterpart_are_listed():
    to = translated(
        a_run(
            {
                "optimizer": {"class_path": "Muon", "init_args": {"lr": 1e-3, "nesterov": True}},
                "lr_scheduler": {"class_path": "CyclicLR"},
            }
        )
    )
    assert fate(to, "optimizer.class_path").startswith(
        "not carried over: the group optimizer has no Muon; here optimizer=adamw, optimizer.betas="
    )
    assert fate(to, "optimizer.init_args.nesterov") == "not carried over: an argument of Muon"
    assert to.values["optimizer"]["lr"] == 1e-3
    assert to.choices["scheduler"] == "none"
    assert fate(to, "lr_scheduler.class_path").startswith("not carried over: CyclicLR has no counterpart")


@pytest.mark.parametrize(
    ("loss", "carried"),
    [("dice", True), (["ce", "dice"], True), ({"ce": 0.7, "lovasz": 0.3}, True), ("hausdorff", False)],
)
def test_losses_of_segmentation(loss, carried):
    to = translated(a_run(loss=loss))
    assert to.values.get("task", {}).get("loss") == (loss if carried else None)
    verdicts = {entry.verdict for name, entry in to.ledger.entries().items() if ".init_args.loss" in name}
    assert verdicts == ({"carried"} if carried else {"not carried over"})


def test_an_unknown_loss_is_told_with_all_losses_of_the_task():
    told = fate(translated(a_run(loss="hausdorff")), "init_args.loss")
    losses = "ce, focal, sigmoid_focal, dice, jaccard, lovasz, tversky"
    assert told == f"not carried over: task=segmentation has the losses {losses}; here task.loss=ce"


@pytest.mark.parametrize(
    ("loss", "ours"),
    [
        ("focal", "sigmoid_focal"),
        (["ce", "focal"], ["ce", "sigmoid_focal"]),
        ({"dice": 0.3, "focal": 0.7}, {"dice": 0.3, "sigmoid_focal": 0.7}),
    ],
)
def test_terratorchs_focal_loss_is_that_of_each_class_against_the_rest(loss, ours):
    to = translated(a_run(loss=loss, class_weights=[1.0, 3.0]))
    assert to.values["task"]["loss"] == ours
    of_both = isinstance(loss, list)  # class weights go to cross-entropy alone, in TerraTorch too
    assert to.values["task"].get("class_weights") == ([1.0, 3.0] if of_both else None)
    assert fate(to, "class_weights") == (
        "carried: task.class_weights" if of_both else "not needed: TerraTorch's focal loss does not take them"
    )


def test_clipping_by_0_is_none():
    to = translated(a_run({"trainer": {"gradient_clip_val": 0}}))
    assert to.values["trainer"]["gradient_clip_val"] is None
    assert fate(to, "gradient_clip_val") == "carried: trainer.gradient_clip_val=null"


def test_class_weights_belong_to_their_losses():
    assert translated(a_run(loss="ce", class_weights=[1.0, 3.0])).values["task"]["class_weights"] == [1.0, 3.0]
    to = translated(a_run(loss="dice", class_weights=[1.0, 3.0]))
    assert fate(to, "class_weights").startswith("not carried over")


def test_learning_rates_by_part_are_carried_and_others_listed():
    to = translated(a_run(lr_overrides={"encoder": 1e-5, "blocks.3": 1e-4}))
    assert to.values["task"]["lr_by_part"] == {"backbone": 1e-5}
    assert fate(to, "blocks.3").startswith("not carried over: task.lr_by_part knows the parts")
    of_no_parameter = translated(a_run(lr_overrides={"backbone": 1e-6}))
    assert of_no_parameter.values.get("task") is None
    assert fate(of_no_parameter, "lr_overrides.backbone").endswith("here task.lr_by_part.backbone=1e-06 would be it")


def test_a_section_of_the_optimizer_takes_the_place_of_all_that_the_task_says_of_rates():
    to = translated(a_run({"optimizer": "Adam"}, lr_overrides={"encoder": 1e-6}, scheduler="StepLR"))
    assert to.values.get("task") is None
    assert fate(to, "lr_overrides.encoder") == "not needed: the section `optimizer` wins over it"
    assert to.choices["scheduler"] == "none"
    assert fate(to, "init_args.scheduler").startswith("not needed: the section `optimizer` takes the place")


def test_a_section_of_the_scheduler_counts_only_beside_one_of_the_optimizer():
    section = {"lr_scheduler": {"class_path": "ReduceLROnPlateau", "init_args": {"monitor": "val/loss"}}}
    to = translated(a_run(section, scheduler="StepLR", scheduler_hparams={"step_size": 3}))
    assert (to.choices["scheduler"], to.values["scheduler"]["step_size"]) == ("step", 3)
    assert fate(to, "lr_scheduler.class_path").startswith("not needed: Lightning takes no notice of it")


def test_steps_and_epochs_that_lightning_has_by_default_are_told():
    to = translated(a_run({"trainer": {"max_steps": 100}}))
    assert fate(to, "max_steps") == "not carried over: a run ends with an epoch here; here trainer.max_epochs=1000"
    assert "trainer.max_epochs=1000, as Lightning has where the file says nothing" in decided(to)
    assert fate(translated(a_run({"trainer": {"max_steps": -1}})), "max_steps") == "not needed: no limit"


def test_a_lone_callback_needs_no_list_and_further_devices_are_told():
    callback = {"class_path": "EarlyStopping", "init_args": {"patience": 7, "monitor": "val/loss"}}
    to = translated(a_run({"trainer": {"callbacks": callback, "devices": 4, "num_nodes": 1}}))
    assert to.values["trainer"]["early_stopping_patience"] == 7
    assert "the best epoch, early stopping" in decided(to)
    assert fate(to, "trainer.devices").startswith("not carried over: a run is one process; trainer=ddp")
    assert fate(to, "trainer.num_nodes").startswith("not needed")


def test_the_rate_of_an_optimizer_without_counterpart_is_carried():
    to = translated(a_run({"optimizer": {"class_path": "Muon", "init_args": {"lr": 3e-5, "nesterov": True}}}))
    assert fate(to, "init_args.lr") == "carried: optimizer.lr"
    assert fate(to, "nesterov") == "not carried over: an argument of Muon"


def test_names_of_classes_are_those_of_the_model_before_those_of_the_data():
    of_both = translated(a_run(class_names=["land", "sea"], data={"class_names": ["a", "b"]}))
    assert of_both.names == ["land", "sea"]
    assert fate(of_both, "data.init_args.class_names") == "not needed: the model's names count"
    of_data = translated(a_run(data={"class_names": ["a", "b"]}))
    assert (of_data.names, fate(of_data, "class_names")) == (["a", "b"], "carried: data.class_names")


def test_windows_of_tiled_inference_may_be_of_both_sides():
    to = translated(a_run(tiled_inference_parameters={"crop": 96, "stride": 80, "delta": 8, "other": 1}))
    assert to.values["data"]["tile_px"] == 96
    assert fate(to, "parameters.crop") == "carried: data.tile_px"
    assert "here action.overlap_px=16" in fate(to, "parameters.stride")
    assert fate(to, "parameters.delta").startswith("not needed: windows are joined by weights")
    assert fate(to, "parameters.other") == "not carried over: nothing here corresponds to it"


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        (16, "16-mixed"),
        ("bf16-mixed", "bf16-mixed"),
        (32, "32-true"),
        ("64-true", "64-true"),
        ("transformer-engine", None),
    ],
)
def test_precisions_of_lightning(given, ours):
    to = translated(a_run({"trainer": {"precision": given}}))
    assert to.values["trainer"].get("precision") == ours
    assert fate(to, "trainer.precision").startswith("carried" if ours else "not carried over")


def test_callbacks_of_the_trainer():
    callbacks = [
        {"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss", "patience": 9, "min_delta": 0.1}},
        {"class_path": "ModelCheckpoint", "init_args": {"monitor": "val/loss"}},
        {"class_path": "StochasticWeightAveraging", "init_args": {"swa_lrs": 0.1}},
    ]
    to = translated(a_run({"trainer": {"max_epochs": 7, "callbacks": callbacks, "limit_train_batches": 3}}))
    assert to.values["trainer"]["early_stopping_patience"] == 9
    assert fate(to, "callbacks.0.init_args.min_delta").startswith("not carried over")
    assert fate(to, "callbacks.1.class_path").startswith("not needed")
    assert fate(to, "callbacks.2.init_args.swa_lrs").startswith("not carried over")
    assert fate(to, "trainer.limit_train_batches") == "not carried over: nothing here corresponds to it"


def test_lora_is_carried_with_pefts_own_defaults():
    config = {
        "method": "lora",
        "replace_qkv": "qkv",
        "peft_config_kwargs": {"target_modules": ["q_linear"], "r": 4, "use_dora": True},
    }
    to = translated(a_run(model_args={"peft_config": config}))
    assert to.choices["peft"] == "lora"
    assert to.values["peft"] == {
        "r": 4, "alpha": 8, "dropout": 0.0, "replace_qkv": "qkv", "target_modules": ["q_linear"],
        "kwargs": {"use_dora": True},
    }  # fmt: skip
    to = translated(a_run(model_args={"peft_config": {"method": "VERA"}}))
    assert fate(to, "peft_config.method") == "not carried over: the group peft has no method 'VERA'; here peft=none"


def test_arguments_that_a_part_does_not_take_are_listed_not_swallowed():
    to = translated(a_run(model_args={"decoder_chanels": 8, "head_dropuot": 0.1, "decoder_kwargs": {"in_index": 1}}))
    assert fate(to, "decoder_chanels") == "not carried over: decoder=fcn has no argument 'chanels'"
    assert fate(to, "head_dropuot") == "not carried over: head=segmentation has no argument 'dropuot'"
    assert to.values["decoder"]["in_index"] == 1


@pytest.mark.parametrize(
    ("changes", "names", "key", "told"),
    [
        (
            {"data": {"num_classes": 5}},
            ["class_0", "class_1"],
            "data.init_args.num_classes",
            "it is 5, and the model has 2",
        ),
        ({"class_names": ["a", "b", "c"]}, ["a", "b"], "class_names", "it names 3, and the model has 2 outputs"),
        ({"class_names": ["a"]}, ["a", "class_1"], "class_names", "of the names, 1 are made up"),
    ],
)
def test_the_models_number_of_classes_counts_and_another_one_is_listed(changes, names, key, told):
    to = translated(a_run(**changes))
    assert to.values["data"]["class_names"] == names
    assert told in fate(to, key)
    assert fate(to, key).startswith("not carried over")


def test_where_the_model_has_no_number_of_classes_the_datas_counts_and_that_is_said():
    to = translated(a_run(model_args={"num_classes": None}, data={"num_classes": 4}))
    assert len(to.values["data"]["class_names"]) == 4
    assert "as many outputs as there are classes: 4" in to.ledger.remarks[0]


def test_a_null_rate_and_null_arguments_of_an_auxiliary_head_are_their_defaults():
    head = {"class_path": "terratorch.models.model.AuxiliaryHead", "init_args": None}
    section = {"optimizer": {"class_path": "Adam", "init_args": {"lr": None}}}
    to = translated(a_run(section, aux_heads=[head]))
    assert to.values["optimizer"]["lr"] == 0.001


def test_an_optimizer_section_without_a_rate_takes_torchs_and_not_the_tasks():
    to = translated(a_run({"optimizer": {"class_path": "torch.optim.AdamW", "init_args": {}}}, lr=1e-6))
    assert to.values["optimizer"]["lr"] == 0.001
    assert fate(to, "model.init_args.lr") == "not needed: the section `optimizer` wins over it"


def test_arguments_that_confirm_what_is_so_anyway_are_not_needed():
    arguments = {
        "backbone": "prithvi_eo_tiny",
        "backbone_encoder_only": True,
        "rescale": True,
        "backbone_padding": "reflect",
    }
    to = translated(a_run(model_args=arguments))
    assert fate(to, "backbone_in_chans") == "not needed: as many as the bands"
    for key in ("encoder_only", "rescale", "backbone_padding"):
        assert fate(to, key).startswith("not needed")
