"""Commands of the product, run in the tests' own process: imports cost seconds, and are paid once.

What a process does by itself (signals, what is left of it when it is killed, ranks) is tested with real processes.
"""

import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from unittest import mock

import typer
from typer.testing import CliRunner

QUIET_BY_DEFAULT = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def run_here(
    app: typer.Typer, words: Sequence[str], environ: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; what came of it is told as of a process."""
    own = {name: None for name in os.environ if name.startswith("PROMEDICAL_")}
    with mock.patch.dict(os.environ), _warnings_of_a_process():
        done = CliRunner().invoke(app, list(words), env={**own, "COLUMNS": "200", **(environ or {})})
    stderr = done.stderr
    if done.exc_info is not None and not isinstance(done.exception, SystemExit | None):
        stderr += "".join(traceback.format_exception(*done.exc_info))
    return subprocess.CompletedProcess(list(words), done.exit_code, done.stdout, stderr)


def train_here(words: Sequence[str], environ: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """`promedical-train` on one thread, as a process with OMP_NUM_THREADS=1; nothing of it is left for the next."""
    import torch
    from accelerate.state import AcceleratorState, GradientState

    from promedical_trainer.cli import app

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return run_here(app, words, environ)
    finally:
        torch.set_num_threads(threads)
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()


@contextmanager
def _warnings_of_a_process() -> Iterator[None]:
    """The tests turn warnings into errors; a process prints them, or does not."""
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning
        warnings.resetwarnings()
        for category in QUIET_BY_DEFAULT:
            warnings.simplefilter("ignore", category)
        yield


def _print_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))
