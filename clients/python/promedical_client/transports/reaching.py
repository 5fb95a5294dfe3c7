"""Why a service cannot be reached, and what to do about it: the libraries below only say what the system said."""

import re
from typing import Final
from urllib.parse import urlsplit

from promedical_client.address import DEFAULT_URL, Address
from promedical_client.errors import PromedicalError, UnavailableError

_OTHER_URL: Final = "give the URL of one that runs, with url, --url or PROMEDICAL_URL"
_NOBODY: Final = (
    r"refused|all connection attempts failed|failed to connect to all addresses|network is unreachable|no route to host"
)
_ADVICE: Final = (
    (r"http1\.x server|expected settings frame", "{url} speaks HTTP/1, not gRPC; for REST write http://{host}"),
    (r"wrong_version_number|wrong version number", "{url} does not speak TLS; write {plain}://{host}"),
    (
        r"certificate.verify.failed|self.signed|unable to get local issuer|hostname mismatch|not valid for",
        (
            "the certificate of {url} is not to be trusted here ({said}); give the file of its authority as ca_file or "
            "--ca-file, and the name that the certificate has as the host"
        ),
    ),
    (
        r"errors resolving|name not found|name or service not known|nodename nor servname|(name|dns) resolution",
        "the host {name} of {url} is not known here; check its spelling, or " + _OTHER_URL,
    ),
    (_NOBODY, "nobody answers at {url}; start a service with promedical-serve, or " + _OTHER_URL),
    (
        r"remoteprotocolerror",
        (
            "{url} broke the connection off ({said}); if it is the port of gRPC, write grpc://{host}, and if it wants "
            "TLS, https://{host}"
        ),
    ),
)
"""What to say if the words of a library match; the first that does."""


def explained(error: PromedicalError, address: Address) -> PromedicalError:
    """The error with what to do, where its words are those of a library about a connection."""
    if not isinstance(error, UnavailableError):
        return error
    said = error.message
    advice = next((text for pattern, text in _ADVICE if re.search(pattern, said, re.IGNORECASE)), None)
    if advice is None:
        return error
    parts = urlsplit(address.url)
    plain = parts.scheme.removesuffix("s")
    words = {"url": address.url, "host": address.host, "name": parts.hostname, "plain": plain, "said": said}
    return UnavailableError(
        advice.format(**words) + _default(address),
        retry_after_s=error.retry_after_s,
        retryable=error.retryable,
    )


def _default(address: Address) -> str:
    """Where the URL comes from if nobody gave one."""
    return " (this URL is the default)" if address.url == DEFAULT_URL else ""
