"""What vLLM's processes do first if they belong to a service: they ignore its signals, and end when it ends.

A signal to the service's process group would kill them while the service still drains, and a service that is killed
would leave them behind with the GPU's memory. vLLM calls this in each of its processes, through the entry point group
`vllm.general_plugins`. Other users of vLLM on the machine are not affected.
"""

import ctypes
import multiprocessing
import os
import signal
from typing import Final

MARK: Final = "_PROMEDICAL_ENGINE"
"""The environment variable that tells the engine's processes the id of the service's process."""
_PR_SET_PDEATHSIG: Final = 1


def stay_with_parent() -> None:
    """Leave the process group, and be killed when the thread that started this process ends."""
    if os.environ.get(MARK, str(os.getpid())) == str(os.getpid()):  # the service itself, or not a process of ours
        return
    parent = _starter()
    os.setpgid(0, 0)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before the line above
        os._exit(1)


def _starter() -> int:
    """The process that started this one, even if it is gone by now and the system names another one.

    It need not be the service: vLLM's core starts its workers. The few processes that vLLM starts without
    multiprocessing only inspect a model and end.
    """
    known = multiprocessing.parent_process()
    return (known and known.pid) or os.getppid()
