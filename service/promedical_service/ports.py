"""The ports of the service: their addresses, and the error for a port that cannot be opened."""

from dataclasses import dataclass


class StartError(Exception):
    """The service cannot start although its configuration is valid, for example because a port is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    rest: int
    grpc: int
    health: int | None


def address_of(host: str, port: int) -> str:
    """The address as gRPC and people write it, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def cannot_listen(name: str, address: str, error: Exception) -> StartError:
    """The error for a port that cannot be opened."""
    reason = (
        error.strerror
        if isinstance(error, OSError)
        else "the port is in use, or this machine does not have the address"
    )
    return StartError(f"cannot listen on {address} for {name}: {reason}; free the port or choose another one")
