"""A real language model behind a real server: one that gives the same answer to the same request every time."""

from collections.abc import Iterator
from contextlib import contextmanager

from scripts.curation.small_model import running_model


@contextmanager
def running_llama() -> Iterator[str]:
    """Start a server; gives its address."""
    import pytest

    from promedical_model.bundle.manifest import BundleError

    try:
        with running_model(remembers=False) as address:
            yield address
    except BundleError as error:
        pytest.skip(f"the model cannot be fetched: {error}")
