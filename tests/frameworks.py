"""The code of RL frameworks that calls reward functions, loaded from their wheels without what they depend on.

`make frameworks` puts the wheels into `.frameworks`; without it the tests that need one are skipped by name. Only
imports that play no part are stubbed, such as ray and vllm; what is called is the frameworks' own code.
"""

import contextlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

FOLDER = Path(__file__).resolve().parents[1] / ".frameworks"


def needs(package):
    """Skip unless the wheel is there."""
    return pytest.mark.skipif(
        not (FOLDER / package).is_dir(), reason=f"no .frameworks/{package}; run `make frameworks`"
    )


def load(path, **stubs):
    """The module at `path`; names with dots are written with double underscores."""
    name = path.removesuffix(".py").replace("/", ".")
    spec = importlib.util.spec_from_file_location(name, FOLDER / path)
    module = importlib.util.module_from_spec(spec)
    replaced = {key.replace("__", "."): stub for key, stub in stubs.items()}
    package = name.rpartition(".")[0]
    with _in_place({package: ModuleType(package), **replaced}):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _in_place(stubs):
    """Stubs among the modules for the block. What is really imported in it stays, as C extensions must."""
    before = {name: sys.modules.get(name) for name in stubs}
    sys.modules.update(stubs)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def openrlhf_executor(remote_url):
    """OpenRLHF's single-turn executor, as `--reward.remote_url` makes it."""
    logging_utils = load("openrlhf/utils/logging_utils.py")
    agent = load("openrlhf/utils/agent.py", openrlhf__utils__logging_utils=logging_utils)
    return agent.SingleTurnAgentExecutor(remote_url)


def verl_reward_worker(address, text):
    """verl's reward loop worker over an address, for one conversation that its tokenizers have made `text`."""
    names = (
        "ray ray__actor omegaconf tensordict verl verl__protocol verl__single_controller__ray__base "
        "verl__trainer__ppo__reward verl__utils verl__utils__fs verl__utils__ray_utils "
        "verl__experimental__reward_loop__reward_model"
    )
    stubs = {name: mock.MagicMock() for name in names.split()}
    worker_class = load("verl/experimental/reward_loop/reward_loop.py", **stubs).RewardLoopWorker
    worker = object.__new__(worker_class)
    worker.reward_router_address = address
    worker.config = mock.MagicMock()
    worker.config.reward.reward_model.rollout.name = "vllm"
    worker.config.reward.reward_model.model_path = "some/model"
    worker._preprocess_reward_inputs = mock.AsyncMock(return_value=text)
    return worker


def verl_naive_manager(compute_score, loop):
    """verl's naive reward manager, whose tokenizer decodes every response to the text that it is."""
    base: Any = ModuleType("base")
    base.RewardManagerBase = type("RewardManagerBase", (), {"__init__": lambda self, config, tokenizer, _: None})
    registry: Any = ModuleType("registry")
    registry.register = lambda _: lambda manager: manager
    module = load(
        "verl/experimental/reward_loop/reward_manager/naive.py",
        verl=mock.MagicMock(),
        verl__experimental__reward_loop__reward_manager=registry,
        verl__experimental__reward_loop__reward_manager__base=base,
        verl__utils__reward_score=mock.MagicMock(),
    )
    manager = module.NaiveRewardManager(None, None, compute_score)
    manager.loop = loop
    manager.tokenizer = mock.MagicMock(decode=lambda ids, **_: "".join(map(chr, ids)))
    return manager


def swift_rewards():
    """ms-swift's function that calls the reward functions of a step."""
    dataset: Any = ModuleType("dataset")
    dataset.RowPreprocessor = mock.MagicMock(rows_to_batched=lambda rows: {k: [r[k] for r in rows] for k in rows[0]})
    module = load(
        "swift/rl_core/grpo_algorithm.py", swift__rl_core__data=mock.MagicMock(), swift__utils=mock.MagicMock()
    )

    def compute(*args, **kwargs):
        with _in_place({"swift": mock.MagicMock(), "swift.dataset": dataset}):
            return module.compute_rewards_per_func(*args, **kwargs)

    return compute


def swift_advantages():
    """ms-swift's function that makes advantages of rewards."""
    return load("swift/rl_core/advantage.py", swift__utils=mock.MagicMock()).compute_advantages


def verifiers_invoke_all():
    """verifiers' function that calls the rewards of a task."""
    return load("verifiers/v1/utils/decorators.py").invoke_all
