"""Every base that this project writes trains in plain TRL: it ends, pads and has a chat template, without a warning."""

import logging
import warnings

import pytest

from promedical_model.bundle.default_model import base_bundle_folder
from promedical_model.bundle.manifest import BundleError
from promedical_trainer.grpo.policy import make_tiny_policy
from promedical_trainer.rm.decoder_config import decoder_config
from promedical_trainer.rm.recipe import load_rm_recipe
from promedical_trainer.rm.tiny_base import make_tiny_base

LIBRARIES = ("transformers", "trl", "accelerate")
TRLS_OWN = "`(is_)?gradient_checkpointing"
"""A warning about TRL's own calls."""


@pytest.fixture
def said():
    """What the libraries log from now on."""
    lines, handler = [], logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    for name in LIBRARIES:
        logging.getLogger(name).addHandler(handler)
    yield lines
    for name in LIBRARIES:
        logging.getLogger(name).removeHandler(handler)


def train(folder, output):
    """Two steps of TRL's trainer as its documentation shows it, with nothing said about tokens; the metrics."""
    from datasets import Dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    def short(completions, **_):
        return [-float(len(turns[0]["content"])) for turns in completions]

    trainer = GRPOTrainer(
        model=str(folder),
        reward_funcs=short,
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": "Is it safe?"}]}] * 4),
        args=GRPOConfig(
            output_dir=str(output),
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=4,
            max_steps=2,
            logging_steps=1,
            report_to=[],
            use_cpu=True,
            bf16=False,
            save_strategy="no",
            disable_tqdm=True,
        ),
    )
    trainer.train()
    return [row for row in trainer.state.log_history if "reward" in row]


def check(folder, output, said):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", TRLS_OWN, FutureWarning)
        steps = train(folder, output)
    assert len(steps) == 2
    assert all(row["reward"] <= 0 for row in steps)
    assert said == []


@pytest.mark.parametrize("recipe", ["rm-qwen3-8b", "rm-llama3-8b"])
def test_tiny_base_of_a_recipe_trains_in_plain_trl(tmp_path, recipe, said):
    make_tiny_base(tmp_path / "base", decoder_config(load_rm_recipe(recipe)))
    check(tmp_path / "base", tmp_path / "out", said)


def test_tiny_policy_trains_in_plain_trl(tmp_path, said):
    make_tiny_policy(tmp_path / "policy")
    check(tmp_path / "policy", tmp_path / "out", said)


@pytest.mark.first_policy
def test_base_of_the_default_model_trains_in_plain_trl(tmp_path, said):
    try:
        folder = base_bundle_folder()
    except BundleError as error:
        pytest.skip(str(error))
    check(folder, tmp_path / "out", said)
