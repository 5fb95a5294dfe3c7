"""vLLM itself: how it is started, asked for the raw logit of a path, and ended. No other module imports vLLM."""

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from promedical_service.engines.vllm.children import MARK
from promedical_service.engines.vllm.engine import CoreDiedError, PathRefusedError, PathScore

_CPU_BLOCK: Final = 32
"""The block size of the prefix cache on a CPU. vLLM's default of 128 shares less there, and it refuses 16."""
_END_S: Final = 4
"""How many seconds its processes get to end by themselves: less than the server waits for an engine."""
_ENVIRONMENT: Final = {
    "VLLM_WORKER_MULTIPROCESSING_METHOD": "spawn",  # a fork would inherit the locks of the service's threads
    "VLLM_CONFIGURE_LOGGING": "0",  # it would write to standard output, which is for our own log
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreOptions:
    """How vLLM runs a model.

    Attributes:
        folder: A sequence classifier with one label.
        dtype: The precision, such as float32.
        tensor_parallel: The number of devices that the model is split over.
        max_path_tokens: The tokens of the longest path.
        on_gpu: Whether there is a GPU.
        nodes: The number of nodes with these devices; for several, a Ray cluster must run that joins them.
        prefix_caching: Whether vLLM shares prefixes; False only to measure what that gains.
    """

    folder: Path
    dtype: str
    tensor_parallel: int
    max_path_tokens: int
    on_gpu: bool
    nodes: int = 1
    prefix_caching: bool = True


async def launch_core(options: CoreOptions) -> "VllmCore":
    """Start vLLM. This blocks the calling loop for 30 s or more. vLLM's processes end with the calling thread."""
    os.environ.update(_ENVIRONMENT | {MARK: str(os.getpid())})
    from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415 - optional, and slow
    from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415

    return VllmCore(AsyncLLM.from_engine_args(AsyncEngineArgs(**core_arguments(options))))


def core_arguments(options: CoreOptions) -> dict[str, Any]:
    """What vLLM is told, by the names of its engine's arguments."""
    on_cpu: dict[str, Any] = {} if options.on_gpu else {"block_size": _CPU_BLOCK, "enforce_eager": True}
    # It starts its processes by itself on one node, and does not look for a Ray cluster unless it is told to.
    on_nodes = {"distributed_executor_backend": "ray"} if options.nodes > 1 else {}
    return {
        "model": str(options.folder),
        "runner": "pooling",
        "convert": "classify",
        "dtype": options.dtype,
        "tensor_parallel_size": options.tensor_parallel,
        "max_model_len": options.max_path_tokens,
        "enable_prefix_caching": options.prefix_caching,
        "skip_tokenizer_init": True,
        "disable_log_stats": True,
        **on_cpu,
        **on_nodes,
    }


class VllmCore:
    """A running vLLM."""

    def __init__(self, engine: Any) -> None:
        from vllm import PoolingParams  # noqa: PLC0415

        self._engine = engine
        self._names = itertools.count()
        self._ask = PoolingParams(task="classify", use_activation=False)

    async def score(self, path: Sequence[int]) -> PathScore:
        """The raw logit of the path's last token.

        Raises:
            PathRefusedError: vLLM does not accept this path.
            CoreDiedError: vLLM's process is gone.
        """
        from vllm.exceptions import VLLMValidationError  # noqa: PLC0415
        from vllm.inputs import TokensPrompt  # noqa: PLC0415
        from vllm.v1.engine.exceptions import EngineDeadError  # noqa: PLC0415

        last = None
        try:
            prompt = TokensPrompt(prompt_token_ids=list(path))
            async for output in self._engine.encode(prompt, self._ask.clone(), str(next(self._names))):
                last = output
        except EngineDeadError as error:
            raise CoreDiedError("vLLM's process died while it scored") from error
        except VLLMValidationError as error:
            raise PathRefusedError("vLLM does not accept a path of this length or with these tokens") from error
        if last is None or last.outputs.data.numel() != 1:
            raise PathRefusedError("vLLM ended the request without a score")
        return PathScore(logit=float(last.outputs.data.item()), cached=last.num_cached_tokens or 0)

    @property
    def dead(self) -> bool:
        """Whether vLLM's process is gone."""
        return bool(self._engine.errored)

    def shutdown(self) -> None:
        """End vLLM. This blocks for seconds."""
        self._engine.shutdown(timeout=_END_S)
