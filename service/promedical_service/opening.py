"""Opens the ports of the edges; a port that cannot be opened is an error that names it."""

import socket

import grpc

from promedical_service.edges.grpc.server import bind
from promedical_service.edges.rest.sockets import listen
from promedical_service.edges.tls import ServerTls
from promedical_service.ports import address_of, cannot_listen
from promedical_service.settings import Settings


def open_rest(settings: Settings, *, max_connections: int) -> socket.socket:
    """A socket that listens for REST.

    Raises:
        StartError: The port cannot be opened.
    """
    try:
        return listen(settings.host, settings.rest_port, max_connections=max_connections)
    except OSError as error:
        raise cannot_listen("REST", address_of(settings.host, settings.rest_port), error) from None


def open_grpc(name: str, server: grpc.aio.Server, host: str, port: int, tls: ServerTls | None) -> int:
    """The port that a gRPC server listens on from its start.

    Raises:
        StartError: The port cannot be opened.
    """
    address = address_of(host, port)
    try:
        return bind(server, address, tls)
    except RuntimeError as error:
        raise cannot_listen(name, address, error) from None
