"""The training stage, on TRL's GRPOTrainer with the paper's objective, resumed from the last checkpoint.

The settings spell out what the paper's "GRPO, KL 0.04" means, since TRL's defaults mean another loss without KL.
"""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import RepeatSampler

from promedical_client.integrations.trl import keep_texts_out_of_the_log
from promedical_trainer.grpo.recipe import GrpoRecipe, Vllm
from promedical_trainer.grpo.reward import Reward
from promedical_trainer.grpo.sampling import WHOLE
from promedical_trainer.runs.checkpoints import checkpoint_state, last_checkpoint
from promedical_trainer.runs.loop import loop_arguments


class ResumableTrainer(GRPOTrainer):
    """TRL's trainer; a run that resumes continues with the right prompts, even after the first epoch.

    TRL draws the order of each epoch from one generator, which starts with the first epoch's order in a new process.

    Args:
        steps_made: The steps of the checkpoint that is resumed.
        options: The arguments of TRL's trainer.
    """

    def __init__(self, *, steps_made: int, **options: Any) -> None:
        self._steps_made = steps_made
        super().__init__(**options)

    def _get_train_sampler(self, dataset: Dataset | None = None) -> RepeatSampler:
        sampler = super()._get_train_sampler(dataset)
        assert isinstance(sampler, RepeatSampler), "a list of rows can be looked up by number"
        for _ in range(self._steps_made // (sampler.num_samples // sampler.batch_size)):
            next(iter(sampler))  # draws the order of an epoch that is over
        return sampler


def train_steps(
    policy: str,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    reward: Reward,
    recipe: GrpoRecipe,
    folder: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> None:
    """Train up to a checkpoint in the folder; a checkpoint that exists is resumed.

    Args:
        policy: The folder or hub id of the policy at the start, which is also the reference.
        tokenizer: The policy's tokenizer.
        rows: Prompts and criteria.
        reward: The function to maximise.
        recipe: All settings.
        folder: The folder for checkpoints, the table of completions and TensorBoard's files.
        callbacks: Callbacks that watch the run and stop it.
    """
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    warnings.filterwarnings("ignore", "`(is_)?gradient_checkpointing`", FutureWarning)  # TRL's own calls
    keep_texts_out_of_the_log()
    trainer = ResumableTrainer(
        steps_made=checkpoint_state(folder).steps,
        model=policy,
        reward_funcs=reward,
        args=_arguments(recipe, folder),
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=tokenizer,
        callbacks=list(callbacks),
        peft_config=None if recipe.adapter is None else recipe.adapter.lora(task_type="CAUSAL_LM"),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))


def _arguments(recipe: GrpoRecipe, folder: Path) -> GRPOConfig:
    optimisation, generation = recipe.optimisation, recipe.generation
    return GRPOConfig(
        **loop_arguments(optimisation, folder),
        # the objective: DeepSeekMath (arXiv 2402.03300), as the paper uses it
        loss_type="grpo",
        beta=optimisation.kl,
        use_bias_correction_kl=False,
        num_generations=generation.group_size,
        num_iterations=1,
        scale_rewards="group",
        temperature=generation.temperature,
        max_completion_length=generation.max_tokens,
        chat_template_kwargs=generation.template_options,
        **WHOLE,
        # the loop; without more steps per generation than backward passes, each step has responses of its own
        max_steps=optimisation.steps,
        per_device_train_batch_size=optimisation.batch,
        gradient_accumulation_steps=optimisation.accumulate,
        **_checkpointing(enabled=optimisation.checkpointing),
        use_cpu=not torch.cuda.is_available(),
        ddp_timeout=optimisation.ranks_timeout_s,
        model_init_kwargs={"dtype": "float32", "use_safetensors": True},
        # what is kept: a table of every step's responses, none of which are shown on the screen
        log_completions=True,
        num_completions_to_print=0,
        **_vllm(generation.vllm),
    )


def _checkpointing(*, enabled: bool) -> dict[str, Any]:
    """The setting under the name that this version of transformers has for it."""
    newer = "activation_checkpointing" in GRPOConfig.__dataclass_fields__
    return {"activation_checkpointing" if newer else "gradient_checkpointing": enabled}


def _vllm(settings: Vllm | None) -> dict[str, Any]:
    if settings is None:
        return {}
    server = {} if settings.server_url is None else {"vllm_server_base_url": settings.server_url}
    return {
        "use_vllm": True,
        "vllm_mode": settings.mode,
        "vllm_gpu_memory_utilization": settings.memory_share,
        "vllm_importance_sampling_correction": settings.correct_sampling,
        "vllm_importance_sampling_mode": "token_truncate",
        "vllm_importance_sampling_clip_max": 3.0,
        **server,
    }
