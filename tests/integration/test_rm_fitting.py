"""The training stage on tiny models: it learns, it resumes as if nothing had happened, and it says what it did."""

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import TrainerCallback

from labelled import WORDS, a_criterion, a_prompt, a_response, judged, labelled_prompts
from models import flat, random_tree, tiny_bundle
from promedical_data.labelled import LabelledPrompt
from promedical_model.bundle.bundle import open_bundle
from promedical_model.loading import load_tree_model
from promedical_trainer.rm.backbone import trainable_model
from promedical_trainer.rm.bundles import write_bundle
from promedical_trainer.rm.eci_trainer import EciTrainer, StepData
from promedical_trainer.rm.encoding import encode
from promedical_trainer.rm.expansion import Expansion
from promedical_trainer.rm.recipe import Adapter, Optimisation, RmRecipe
from promedical_trainer.rm.training import steps_of, train_steps
from promedical_trainer.runs.checkpoints import last_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

LORA = Adapter(rank=4, alpha=8)
SAVE_EVERY, KILLED_AFTER = 4, 6
PARTS = ("loss", "pairwise", "pointwise", "accuracy")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def mentions(count: int) -> list[LabelledPrompt]:
    """Learnable: a criterion names a word, and is met where the response contains it."""
    criteria = [a_criterion(word, text=f"Contains {word}.") for word in WORDS[:2]]
    return [
        a_prompt(str(index), criteria, [a_response(f"{index}{a}", {a: True, b: False}, a) for a, b in _both_ways()])
        for index in range(count)
    ]


def _both_ways() -> list[tuple[str, str]]:
    return [(WORDS[0], WORDS[1]), (WORDS[1], WORDS[0])]


def recipe_of(**changes: Any) -> RmRecipe:
    optimisation = {
        "epochs": 3,
        "batch_pairs": 8,
        "tokens_per_pass": 600,
        "learning_rate": 1e-2,
        "head_learning_rate": 1e-2,
        "save_every": SAVE_EVERY,
    }
    return RmRecipe(
        name="tiny",
        description="Random weights",
        licence="none",
        base="none",
        adapter=LORA,
        expansion=Expansion(responses_per_tree=2),
        optimisation=Optimisation(**(optimisation | changes)),
    )


def train(
    bundle: Path,
    recipe: RmRecipe,
    folder: Path,
    prompts: Sequence[LabelledPrompt],
    callbacks: Sequence[TrainerCallback] = (),
) -> EciTrainer:
    """As the training command does it."""
    torch.manual_seed(0)  # the adapter starts at random
    optimisation = recipe.optimisation
    opened = open_bundle(str(bundle))
    model = trainable_model(opened, recipe.adapter, dtype=torch.float32, checkpointing=optimisation.checkpointing)
    encoded = encode(prompts, opened.renderer())
    steps = StepData(
        steps_of(encoded.prompts, recipe),
        encoded,
        recipe.loss,
        tokens_per_pass=optimisation.tokens_per_pass,
    )
    return train_steps(model, steps, optimisation, folder, on_gpu=False, callbacks=callbacks)


def curve(trainer: EciTrainer) -> list[dict[str, float]]:
    logs = [each for each in trainer.state.log_history if "loss" in each]
    return [{name: each[name] for name in (*PARTS, "learning_rate", "grad_norm")} for each in logs]


def trained(trainer: EciTrainer) -> dict[str, torch.Tensor]:
    return {name: each.detach().clone() for name, each in trainer.model.named_parameters() if each.requires_grad}


@pytest.mark.parametrize("adapter", [LORA, None], ids=["lora", "full"])
def test_train_steps_learns_to_tell_responses_apart_by_the_criterion(
    bundle: Path, tmp_path: Path, adapter: Adapter | None
) -> None:
    recipe = replace(recipe_of(epochs=16, learning_rate=2e-2, checkpointing=True), adapter=adapter)

    logs = curve(train(bundle, recipe, tmp_path, mentions(8)))

    assert sum(each["accuracy"] for each in logs[-5:]) / 5 > 0.9
    assert logs[-1]["loss"] < 0.5 * logs[0]["loss"]
    assert logs[-1]["pointwise"] < logs[0]["pointwise"]


def test_train_steps_in_bfloat16_learns_too(bundle: Path, tmp_path: Path) -> None:
    logs = curve(train(bundle, recipe_of(epochs=12, learning_rate=2e-2, precision="bf16"), tmp_path, mentions(8)))

    assert logs[-1]["loss"] < 0.7 * logs[0]["loss"]


def test_train_steps_does_not_depend_on_the_size_of_a_pass(bundle: Path, tmp_path: Path) -> None:
    small, large = (
        train(bundle, recipe_of(epochs=1, tokens_per_pass=tokens), tmp_path / str(tokens), mentions(8))
        for tokens in (1, 10_000)
    )

    for ours, theirs in zip(curve(small), curve(large), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)


class Killed(TrainerCallback):
    """Ends the process as an out-of-memory kill would: nothing is flushed, nothing is tidied up."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)


class Counted(TrainerCallback):
    """Counts the steps that are made."""

    steps = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.steps += 1


def train_until_killed(bundle: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    train(bundle, recipe_of(), folder, mentions(12), [Killed()])


def test_train_steps_after_a_kill_gives_the_same_curve_and_the_same_weights(bundle: Path, tmp_path: Path) -> None:
    child = get_context("spawn").Process(target=train_until_killed, args=(bundle, tmp_path / "killed"))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert last_checkpoint(tmp_path / "killed") == str(tmp_path / "killed" / f"checkpoint-{SAVE_EVERY}")

    made = Counted()
    resumed = train(bundle, recipe_of(), tmp_path / "killed", mentions(12), [made])
    whole = train(bundle, recipe_of(), tmp_path / "whole", mentions(12))

    assert len(curve(whole)) == len(steps_of(mentions(12), recipe_of())) > KILLED_AFTER
    assert made.steps == len(curve(whole)) - SAVE_EVERY
    assert curve(resumed) == curve(whole)
    ours, theirs = trained(resumed), trained(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_train_steps_that_is_done_trains_no_further(bundle: Path, tmp_path: Path) -> None:
    done = train(bundle, recipe_of(epochs=1), tmp_path, mentions(8))

    made = Counted()
    again = train(bundle, recipe_of(epochs=1), tmp_path, mentions(8), [made])

    assert made.steps == 0
    ours, theirs = trained(again), trained(done)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_last_checkpoint_passes_over_one_that_was_not_written_to_the_end(bundle: Path, tmp_path: Path) -> None:
    train(bundle, recipe_of(max_steps=SAVE_EVERY), tmp_path, mentions(8))
    half = tmp_path / f"checkpoint-{2 * SAVE_EVERY}"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"")

    assert last_checkpoint(tmp_path) == str(tmp_path / f"checkpoint-{SAVE_EVERY}")


def test_last_checkpoint_passes_over_one_whose_state_is_cut_off(bundle: Path, tmp_path: Path) -> None:
    train(bundle, recipe_of(max_steps=SAVE_EVERY), tmp_path, mentions(8))
    half = tmp_path / f"checkpoint-{2 * SAVE_EVERY}"
    half.mkdir()
    (half / "trainer_state.json").write_text('{"global_step": 8, "log_', encoding="utf-8")

    assert last_checkpoint(tmp_path) == str(tmp_path / f"checkpoint-{SAVE_EVERY}")


def test_last_checkpoint_of_a_folder_without_any_is_none(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    assert last_checkpoint(tmp_path / "absent") is None


@pytest.mark.parametrize("adapter", [LORA, None], ids=["lora", "full"])
def test_checkpoint_holds_what_is_trained_and_nothing_else(
    bundle: Path, tmp_path: Path, adapter: Adapter | None
) -> None:
    trainer = train(bundle, replace(recipe_of(max_steps=SAVE_EVERY), adapter=adapter), tmp_path, mentions(8))

    saved = load_file(Path(str(last_checkpoint(tmp_path))) / "model.safetensors")

    expected = trained(trainer)
    assert saved.keys() == expected.keys()
    assert all(torch.equal(saved[name], expected[name]) for name in expected)
    assert "decoder.embed_tokens.weight" not in saved


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft 0.21
def test_adapter_on_some_layers_is_served_as_it_was_trained(bundle: Path, tmp_path: Path) -> None:
    recipe = replace(recipe_of(max_steps=2), adapter=replace(LORA, layers=(1,)), base=str(bundle))
    trained_model = train(bundle, recipe, tmp_path / "run", mentions(8)).model
    checkpoint = last_checkpoint(tmp_path / "run")
    assert checkpoint is not None

    write_bundle(tmp_path / "served", Path(checkpoint), recipe, open_bundle(str(bundle)))

    opened = open_bundle(str(tmp_path / "served"))
    served = load_tree_model(opened, dtype=torch.float32, device=torch.device("cpu"))
    tree = random_tree(5, [(8, [3, 4]), (2, [6])])
    assert flat(served.score([tree])) == pytest.approx(flat(trained_model.score([tree])), abs=5e-3)
    untrained = load_tree_model(open_bundle(str(bundle)), dtype=torch.float32, device=torch.device("cpu"))
    assert flat(served.score([tree])) != pytest.approx(flat(untrained.score([tree])), abs=2e-2)


def test_train_steps_keeps_two_checkpoints(bundle: Path, tmp_path: Path) -> None:
    train(bundle, recipe_of(save_every=2), tmp_path, mentions(12))

    assert len(list(tmp_path.glob("checkpoint-*"))) == 2


def test_train_steps_writes_every_part_of_the_loss_to_tensorboard(bundle: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = train(bundle, recipe_of(epochs=1), tmp_path, mentions(8))
    (file,) = (tmp_path / "tensorboard").rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file))
    events.Reload()

    for name in PARTS:
        written = [event.value for event in events.Scalars(f"train/{name}")]
        assert written == pytest.approx([each[name] for each in curve(trainer)])


def test_train_steps_gives_the_head_its_own_learning_rate_and_no_decay(bundle: Path, tmp_path: Path) -> None:
    recipe = recipe_of(max_steps=2, weight_decay=0.1, head_learning_rate=0.0, warmup_share=0.0)
    before = trainable_model(open_bundle(str(bundle)), LORA, dtype=torch.float32, checkpointing=False).head.clone()

    trainer = train(bundle, recipe, tmp_path, mentions(8))

    weights, head = trainer.optimizer.param_groups
    assert (weights["weight_decay"], head["weight_decay"]) == (0.1, 0.0)
    assert len(head["params"]) == 1
    assert torch.equal(trained(trainer)["head"], before)


def test_train_steps_logs_the_loss_as_the_sum_of_its_parts(bundle: Path, tmp_path: Path) -> None:
    """The problem has labels everywhere, so that nothing is centred."""
    for each in curve(train(bundle, recipe_of(epochs=1), tmp_path, mentions(8))):
        assert each["loss"] == pytest.approx(each["pairwise"] + each["pointwise"], abs=1e-4)
        assert 0 <= each["accuracy"] <= 1 + 1e-6


def test_step_data_of_ranks_are_the_parts_of_one_step(bundle: Path) -> None:
    opened, recipe = open_bundle(str(bundle)), recipe_of()
    encoded = encode(mentions(8), opened.renderer())
    steps = steps_of(encoded.prompts, recipe)

    whole, *ranks = (
        StepData(steps, encoded, recipe.loss, tokens_per_pass=1, rank=rank, world_size=count)
        for rank, count in ((0, 1), (0, 2), (1, 2))
    )

    assert len(whole) == len(ranks[0]) == len(steps)
    for index in range(len(steps)):
        trees = [part.trees for part in whole[index]]
        assert sorted(map(repr, trees)) == sorted(repr(part.trees) for rank in ranks for part in rank[index])


@given(
    prompts=st.lists(labelled_prompts(), max_size=12),
    batch_pairs=st.integers(1, 20),
    epochs=st.integers(1, 3),
)
def test_steps_hold_every_group_in_order_and_never_cross_an_epoch(
    prompts: list[LabelledPrompt], batch_pairs: int, epochs: int
) -> None:
    recipe = recipe_of(batch_pairs=batch_pairs, epochs=epochs)
    steps = iter(steps_of(prompts, recipe))

    for epoch in range(epochs):
        left = recipe.expansion.groups(prompts, seed=0, epoch=epoch)
        while left:
            step = next(steps)
            assert step == left[: len(step)]
            del left[: len(step)]
            pairs = sum(len(group.pairs) or 1 for group in step)
            assert pairs >= batch_pairs or not left
    assert next(steps, None) is None


def test_steps_give_a_small_remainder_to_the_last_step() -> None:
    prompts = [judged(str(index), responses=2, criteria=2) for index in range(9)]
    (pairs,) = {len(group.pairs) for group in Expansion().groups(prompts, seed=0, epoch=0)}

    sizes = [len(step) for step in steps_of(prompts, recipe_of(epochs=1, batch_pairs=4 * pairs))]

    assert sizes == [4, 5]


def test_steps_stop_at_max_steps() -> None:
    everything = steps_of(mentions(12), recipe_of())

    assert steps_of(mentions(12), recipe_of(max_steps=2)) == everything[:2]


def test_encode_leaves_out_responses_that_are_too_long_and_counts_them(bundle: Path) -> None:
    long = "fever " * 5000
    criteria = [a_criterion("c")]
    met = {"c": True}
    prompts = [
        a_prompt("some", criteria, [a_response("short", met), a_response("long", met, long)]),
        a_prompt("all", criteria, [a_response("first", met, long), a_response("second", met, long)]),
        a_prompt("none", criteria, [a_response("only", met)]),
    ]

    found = encode(prompts, open_bundle(str(bundle)).renderer())

    assert found.too_long == 3
    assert [(each.id, [answer.id for answer in each.responses]) for each in found.prompts] == [
        ("some", ["short"]),
        ("none", ["only"]),
    ]
