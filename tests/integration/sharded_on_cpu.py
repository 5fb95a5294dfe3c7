"""`promedical-train` among processes that accelerate takes for ones with a GPU each: on CPUs it would not shard."""

from typing import Any

from accelerate.state import PartialState
from accelerate.utils import DistributedType

from promedical_trainer import cli

_connect = PartialState.__init__


def _connect_as_if_with_gpus(self: PartialState, *args: Any, **options: Any) -> None:
    _connect(self, *args, **options)
    self._shared_state["distributed_type"] = DistributedType.MULTI_GPU


if __name__ == "__main__":
    PartialState.__init__ = _connect_as_if_with_gpus
    cli.main()
