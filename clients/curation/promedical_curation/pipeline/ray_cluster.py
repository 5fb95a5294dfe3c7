"""Ray on this machine, or a cluster that runs already. What is wrong with it is said before anything is asked."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

import grpc

from promedical_curation.asking.database import address_of
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.engines import Engine

HERE: Final = "local"
FOUND: Final = "auto"
_CONNECT_S: Final = 5.0


@contextmanager
def ray_engine(address: str | None, *, workers: int, store: str) -> Iterator[Engine]:
    """An engine of many processes. Ray is started for it, or joined.

    Args:
        address: HOST:PORT of a cluster that this machine belongs to, or "auto" to find it; None for that of
            RAY_ADDRESS, or without one for Ray on this machine alone.
        workers: How many processes.
        store: The address of the response store, which all machines must reach.

    Raises:
        CurationError: There is no such cluster, or it cannot do this.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what concerns the user is raised
    try:
        ray = import_module("ray")
        from promedical_curation.pipeline.ray_engine import CPUS_PER_WORKER, RayData  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CurationError(
            f"engine ray: {error.name} is not installed; run: pip install 'promedical[curation-scale]'"
        ) from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with _connected(ray, address or os.environ.get("RAY_ADDRESS") or HERE):
        _check_store(store, sum(node["Alive"] for node in ray.nodes()))
        if (cpus := ray.cluster_resources().get("CPU", 0)) < workers * CPUS_PER_WORKER:
            raise CurationError(
                f"--workers {workers}: need {workers * CPUS_PER_WORKER:g} CPUs, and the cluster has {cpus:g}; give "
                f"at most {int(cpus / CPUS_PER_WORKER)}"
            )
        yield RayData(workers)


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """A connection for the length of the block; one that the process has already stays open."""
    if ray.is_initialized():
        yield
        return
    if address not in {HERE, FOUND}:
        _check_reachable(address)
    options = {"include_dashboard": False} if address == HERE else {}
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CurationError(f"--address {address}: there is no cluster to join: {reason}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdecimal():
        raise CurationError(
            f"--address {address}: expected HOST:PORT of a cluster's head node, such as 10.0.0.5:6379, or {FOUND}. The "
            "command runs on a machine of the cluster, as a job does"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CurationError(
            f"--address {address}: cannot be reached: {reason}; is Ray running there? `ray status` shows it"
        ) from None
    if "RAY_USE_TLS" not in os.environ and not _speaks_grpc(address):  # Ray would try for minutes, then end the process
        raise CurationError(f"--address {address}: something else than Ray answers there; give the port of a head node")


def _speaks_grpc(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=_CONNECT_S)
        except grpc.FutureTimeoutError:
            return False
    return True


def _check_store(store: str, machines: int) -> None:
    if machines > 1 and (name := address_of(store)).startswith("sqlite"):
        raise CurationError(
            f"store {name}: is a file of one machine, and the cluster has {machines}; name a PostgreSQL database that "
            "all of them reach by --store"
        )
