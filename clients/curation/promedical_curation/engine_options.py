"""Options of commands about who hands rows to the worker."""

from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from promedical_curation.errors import CurationError

if TYPE_CHECKING:
    from promedical_curation.pipeline.engines import Engine

_WORKERS: Final = 2


class EngineName(StrEnum):
    """Who hands rows to the worker."""

    EMBEDDED = "embedded"
    RAY = "ray"


EngineOption = Annotated[EngineName, typer.Option(help="This process alone, or workers of Ray.")]
Address = Annotated[
    str | None,
    typer.Option(
        help="With ray: the cluster to join, HOST:PORT or auto. By default that of RAY_ADDRESS, or this machine."
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help="With ray: how many processes; 2 by default.")]


def engine_named(
    name: EngineName, address: str | None, workers: int | None, store: str
) -> "AbstractContextManager[Engine | None]":
    """The engine of this name; None stands for this process."""
    if name is EngineName.EMBEDDED:
        if address is not None or workers is not None:
            option = "--workers" if address is None else "--address"
            raise CurationError(f"{option} is for the workers of Ray; add --engine ray")
        return nullcontext()
    from promedical_curation.pipeline.ray_cluster import ray_engine  # noqa: PLC0415

    return ray_engine(address, workers=workers or _WORKERS, store=store)
