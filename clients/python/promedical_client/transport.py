"""The seam between the client and the wire, and the choice of a transport by URL."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

from promedical import messages as m

MAX_TIMEOUT_S: Final = 86_400.0
"""The longest that the service takes. gRPC counts nanoseconds in 64 bits, and far above it none are left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What travels beside a request.

    Attributes:
        timeout_s: Seconds until the caller no longer wants the answer, at most `MAX_TIMEOUT_S`.
        request_id: What logs call this request; the same for every attempt.
    """

    timeout_s: float
    request_id: str


class Transport(Protocol):
    """Sends one request once. Retries, chunks and checks of the answer are the client's.

    Every method raises `PromedicalError` and nothing else but `asyncio.CancelledError`.
    """

    async def score(self, request: m.ScoreRequest, call: Call) -> m.ScoreResponse:
        """Score items."""
        ...

    async def rank(self, request: m.RankRequest, call: Call) -> m.RankResponse:
        """Put the responses to one prompt in order."""
        ...

    async def list_rubrics(self, call: Call) -> m.RubricList:
        """Every rubric that the service knows."""
        ...

    async def get_rubric(self, name: str, call: Call) -> m.RubricInfo:
        """One rubric, by `id@version` or `id`."""
        ...

    async def get_model(self, call: Call) -> m.ModelInfo:
        """What the oracle is."""
        ...

    async def aclose(self) -> None:
        """Close the connections that were opened in the running event loop."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files for `grpcs://` and `https://`; without `ca_file` the usual authorities are trusted."""

    ca_file: str | Path | None = None
    cert_file: str | Path | None = None
    key_file: str | Path | None = None

    @property
    def are_given(self) -> bool:
        """Whether there is any."""
        return any((self.ca_file, self.cert_file, self.key_file))


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
        from promedical_client.grpc_transport import GrpcTransport  # noqa: PLC0415 - only who uses gRPC loads it

        return GrpcTransport(parts.netloc, api_key=api_key, tls=tls if parts.scheme == "grpcs" else None)
    from promedical_client.http_transport import HttpTransport  # noqa: PLC0415 - only who uses REST loads it

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
