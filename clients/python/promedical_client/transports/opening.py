"""The choice of a transport by URL."""

from urllib.parse import SplitResult, urlsplit

from promedical_client.transports.base import TlsFiles, Transport


def open_transport(url: str, *, api_key: str | None, tls: TlsFiles) -> Transport:
    """The transport for `grpc://`, `grpcs://`, `http://` or `https://`. Connects on first use.

    Raises:
        ValueError: The URL or the key cannot be used; says what was expected.
        OSError: A TLS file cannot be read.
    """
    parts = _parsed(url)
    if api_key is not None and not (api_key.isascii() and api_key.isprintable() and api_key):
        raise ValueError("api_key is empty or holds characters that no header may carry, such as a line break")
    if tls.are_given and parts.scheme in {"grpc", "http"}:
        raise ValueError(f"ca_file, cert_file and key_file are for TLS, and url is {url!r}; use {parts.scheme}s://")
    if parts.scheme in {"grpc", "grpcs"}:
        from promedical_client.transports.grpc import GrpcTransport  # noqa: PLC0415 - only who uses gRPC loads it

        return GrpcTransport(parts.netloc, api_key=api_key, tls=tls if parts.scheme == "grpcs" else None)
    from promedical_client.transports.http import HttpTransport  # noqa: PLC0415 - only who uses REST loads it

    return HttpTransport(url, api_key=api_key, tls=tls if parts.scheme == "https" else None)


def _parsed(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in {"grpc", "grpcs", "http", "https"} or not parts.hostname:
        raise ValueError(f"url is {url!r}; expected grpc://HOST:PORT, grpcs://, http:// or https://")
    if parts.username is not None:
        raise ValueError("url holds a user name; give api_key instead")
    if parts.scheme.startswith("grpc") and (parts.port is None or parts.path not in {"", "/"}):
        raise ValueError(f"url is {url!r}; expected {parts.scheme}://HOST:PORT and nothing after it")
    return parts
