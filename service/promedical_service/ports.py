"""The ports of the service: their addresses, and what is said where one cannot be opened."""

from dataclasses import dataclass


class StartError(Exception):
    """The service cannot start though its configuration is sound, for example because a port is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports that are open."""

    rest: int
    grpc: int
    health: int | None


def address_of(host: str, port: int) -> str:
    """As gRPC and people write it; an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def cannot_listen(name: str, address: str, error: Exception) -> StartError:
    """The error for a port that cannot be opened."""
    reason = error.strerror if isinstance(error, OSError) else "the port is in use, or the address is not ours"
    return StartError(f"cannot listen on {address} for {name}: {reason}; free the port or choose another one")
