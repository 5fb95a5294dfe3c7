"""The choice of a transport by URL."""

from promedical_client.address import Address
from promedical_client.transports.base import Transport


def open_transport(address: Address) -> Transport:
    """The transport that the address speaks. Connects on first use.

    Raises:
        OSError: A TLS file cannot be read.
        MisconfiguredError: A TLS file, or a variable of the environment, cannot be used.
    """
    if address.is_grpc:
        from promedical_client.transports.grpc import GrpcTransport  # noqa: PLC0415 - only who uses gRPC loads it

        return GrpcTransport(address)
    from promedical_client.transports.http import HttpTransport  # noqa: PLC0415 - only who uses REST loads it

    return HttpTransport(address)
