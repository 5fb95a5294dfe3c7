"""The processes of a run act together: the main one decides, and all get the same answer or the same error."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from promedical_trainer.runs.recipe_files import RecipeError

T = TypeVar("T")

_WHOLE: Final = "FULL_STATE_DICT"


def processes(timeout_s: float | None = None) -> PartialState:
    """All processes of the run; without a GPU they are told to train on a CPU together.

    Args:
        timeout_s: How long they wait for each other; counts in the first call only, which connects them.
    """
    options = {} if timeout_s is None else {"timeout": timedelta(seconds=timeout_s)}
    return PartialState(cpu=not torch.cuda.is_available(), **options)


def check_launched() -> None:
    """Several GPUs take a process each; one process would hand them copies of the model that no tree goes through.

    Shards must be put together for checkpoints, which hold the result; FSDP 2 does not unless it is told to.

    Raises:
        RecipeError: The run was started wrongly. The message says how to start it.
    """
    if os.environ.get("ACCELERATE_USE_FSDP") == "true" and os.environ.get("FSDP_STATE_DICT_TYPE") != _WHOLE:
        raise RecipeError(f"fsdp_state_dict_type: expected {_WHOLE}, as in fsdp.yaml: checkpoints hold the result")
    visible = torch.cuda.device_count()
    if visible > 1 and processes().num_processes == 1:
        raise RecipeError(
            f"one process sees {visible} GPUs; use accelerate launch, or let it see one GPU: CUDA_VISIBLE_DEVICES=0"
        )


def on_main_process(look: Callable[[], T]) -> T:
    """The result of `look` in the main process. Its error is raised in all processes, so that none waits."""
    said: list[Any] = [None, None]
    if processes().is_main_process:
        try:
            said[0] = look()
        except Exception as error:  # noqa: BLE001 - whatever it is, every process must hear of it
            said[1] = error
    broadcast_object_list(said)
    if said[1] is not None:
        raise said[1]
    result: T = said[0]
    return result


def stop_sharded_loading() -> None:
    """From here on, load models whole: loading into shards of ZeRO-3 would need the other processes."""
    unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]


def gathered(mine: T) -> list[T]:
    """The values of all processes."""
    every: list[T] = gather_object([mine])
    return every
