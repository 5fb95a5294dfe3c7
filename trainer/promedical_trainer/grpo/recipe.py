"""A recipe of a policy: every setting of one GRPO run, read once and frozen. The defaults are the paper's."""

import math
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from promedical.interop.thoughts import Thoughts
from promedical.messages import Truncation
from promedical.reward import RewardWeights
from promedical_trainer.runs.adapter import Adapter
from promedical_trainer.runs.recipe_files import Precision, RecipeBook, check_amounts, check_counts

_STRICT: Final = {"extra": "forbid"}

TINY: Final = "tiny"
"""The name of a policy with random weights and a byte tokenizer, which is made in the run's folder."""
SWITCH: Final = "enable_thinking"
"""The name that chat templates have for the switch."""
_CALLS_PER_TIMEOUT: Final = 3
"""Processes wait for the slowest one: its call and its generation must end before the others give up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Files with prompts and criteria, relative to the folder of `--data`; their responses are not used.

    Attributes:
        train: Files to learn from, in the criteria or the HealthBench format.
        held_out: The policy does not learn from prompts that are also in one of these files.
        exclude_sources: Rows of these sources are left out.
        exclude_criteria: These criteria are left out: ids, as CRITERION or PROMPT/CRITERION, or "errata" for those that
            are known to have the wrong sign.
        max_tokens: Prompts with more tokens of the policy, chat markup included, are left out and counted.
    """

    __pydantic_config__ = _STRICT

    train: tuple[str, ...] = ("criteria/train.jsonl.gz",)
    held_out: tuple[str, ...] = ()
    exclude_sources: tuple[str, ...] = ()
    exclude_criteria: tuple[str, ...] = ()
    max_tokens: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """How the service is asked, and what happens when it does not answer.

    Attributes:
        timeout_s: Seconds for one call, including retries. The service may be away this long, such as for a restart.
        start_timeout_s: How long the run waits for the service when it starts.
        max_unscored: The share of a step's responses that may go without a score; above it, all processes stop.
        truncation: What may be cut from what is too long for the oracle.
        thoughts: What is judged of an answer with a thought (`<think>`): the rest, only such answers, or all of it. A
            thought that was cut off is no answer and has no score.
        reward_weights: alpha, beta and lambda; weights under which a violation would pay are refused.
    """

    __pydantic_config__ = _STRICT

    timeout_s: float = 300.0
    start_timeout_s: float = 60.0
    max_unscored: float = 0.2
    truncation: Truncation = "none"
    thoughts: Thoughts = "leave_out"
    reward_weights: RewardWeights = field(default_factory=RewardWeights)

    def __post_init__(self) -> None:
        if min(self.timeout_s, self.start_timeout_s) <= 0:
            raise ValueError(f"timeout_s is {self.timeout_s}, start_timeout_s {self.start_timeout_s}: expected above 0")
        if not 0 <= self.max_unscored < 1:
            raise ValueError(f"max_unscored is {self.max_unscored}: expected a share of at least 0 and below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vllm:
    """Generation by vLLM, which is installed beside the trainer (`pip install vllm`).

    Attributes:
        mode: vLLM runs in the trainer's processes, or as a server of its own.
        server_url: The URL of the server.
        memory_share: The share of a GPU's memory that vLLM gets, where trainer and vLLM share a GPU.
        correct_sampling: Weigh each token by the ratio of its probabilities under the trainer's policy and under vLLM,
            at most 3. Training is steadier where the two differ, but the loss is not the paper's.
    """

    __pydantic_config__ = _STRICT

    mode: Literal["colocate", "server"] = "colocate"
    server_url: str | None = None
    memory_share: float = 0.3
    correct_sampling: bool = False

    def __post_init__(self) -> None:
        if (self.mode == "server") != (self.server_url is not None):
            raise ValueError("server_url: belongs to mode server, and mode server needs it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How the policy answers.

    Attributes:
        group_size: G, the number of responses to a prompt.
        max_tokens: The most tokens of one response.
        temperature: The temperature of sampling, and of the policy that is trained.
        thinking: Whether the chat template lets the policy think before it answers (`enable_thinking`); None leaves
            that to the template.
        vllm: How vLLM generates; None if transformers generates.
    """

    __pydantic_config__ = _STRICT

    group_size: int = 8
    max_tokens: int = 1024
    temperature: float = 1.0
    thinking: bool | None = None
    vllm: Vllm | None = None

    @property
    def template_options(self) -> dict[str, Any]:
        """What is said to the policy's chat template, in training and for held-out prompts."""
        return {} if self.thinking is None else {SWITCH: self.thinking}

    def __post_init__(self) -> None:
        check_counts(self, "max_tokens")
        check_counts(self, "group_size", least=2)  # an advantage compares
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}: expected a finite number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """Settings of the training loop.

    Attributes:
        steps: Steps of the optimizer.
        batch: Responses in one backward pass of one process; memory, not mathematics.
        accumulate: Backward passes of one process in a step, and in a generation.
        learning_rate: The policy's learning rate.
        kl: The weight of the divergence from the policy at the start; beta in the GRPO paper.
        warmup_share: The share of the steps in which the learning rate rises.
        scheduler: The learning rate's schedule, by its name in transformers.
        max_grad_norm: Gradients are clipped to this norm.
        precision: bf16 is autocast; weights stay fp32.
        checkpointing: Recompute activations in the backward pass.
        save_every: Steps between checkpoints.
        ranks_timeout_s: After this many seconds without an answer, a process gives up waiting for the others.
        seed: The seed of everything that is drawn.
    """

    __pydantic_config__ = _STRICT

    steps: int
    batch: int = 8
    accumulate: int = 1
    learning_rate: float = 1e-6
    kl: float = 0.04
    warmup_share: float = 0.0
    scheduler: Literal["cosine", "linear", "constant_with_warmup"] = "constant_with_warmup"
    max_grad_norm: float = 1.0
    precision: Precision = "fp32"
    checkpointing: bool = False
    save_every: int = 20
    ranks_timeout_s: int = 1800
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "steps", "batch", "accumulate", "save_every")
        check_amounts(self, "learning_rate", "kl", "max_grad_norm")
        if not 0 <= self.warmup_share < 1:
            raise ValueError(f"warmup_share is {self.warmup_share}: expected at least 0 and below 1")

    @property
    def responses(self) -> int:
        """Responses of one process in one step."""
        return self.batch * self.accumulate


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The policy before and after, on held-out prompts; the first process alone answers, without vLLM.

    Attributes:
        prompts: How many held-out prompts are drawn by the seed; 0 for none.
    """

    __pydantic_config__ = _STRICT

    prompts: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "prompts", least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpoRecipe:
    """One policy.

    Attributes:
        name: The name of the run.
        description: One sentence.
        policy: What is trained: a folder, a hub id, "smollm2-135m-instruct" (the default oracle's base, which needs no
            hub), or "tiny".
        optimisation: The loop.
        adapter: The LoRA adapter; None if all weights are trained.
        prompts: What to read.
        oracle: What to ask.
        generation: How to answer.
        evaluation: What to compare at the end.
    """

    __pydantic_config__ = _STRICT

    name: str
    description: str
    policy: str
    optimisation: Optimisation
    adapter: Adapter | None = None
    prompts: Prompts = field(default_factory=Prompts)
    oracle: Oracle = field(default_factory=Oracle)
    generation: Generation = field(default_factory=Generation)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        group, responses = self.generation.group_size, self.optimisation.responses
        if responses % group:
            raise ValueError(
                f"optimisation.batch * optimisation.accumulate is {responses}, generation.group_size {group}: expected "
                "a multiple of it, so that no group is split over processes and the oracle reads each prompt once"
            )
        if self.evaluation.prompts and not self.prompts.held_out:
            raise ValueError("evaluation.prompts: needs prompts.held_out, files with prompts that are not learnt from")
        if self.oracle.timeout_s * _CALLS_PER_TIMEOUT > self.optimisation.ranks_timeout_s:
            raise ValueError(
                f"oracle.timeout_s is {self.oracle.timeout_s:g}, optimisation.ranks_timeout_s "
                f"{self.optimisation.ranks_timeout_s}: expected at most a third of it, so that no process gives up "
                "those that wait for the oracle"
            )


GRPO_RECIPES: Final = RecipeBook("grpo", GrpoRecipe)
