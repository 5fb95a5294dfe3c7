"""The candidate, asked over gRPC by threads: it must not take the event loop's time, which is the callers'.

Files are read again for every call, so that keys and certificates that change need no restart. A call is sent once:
retries would pile up where a candidate is too slow.
"""

import threading
from pathlib import Path
from typing import Any, Final, cast

import grpc

from promedical.errors import ErrorCode
from promedical.messages import ScoreRequest, ScoreResponse
from promedical.rubric import InvalidField
from promedical.v1 import requests, responses
from promedical.v1.reward_pb2_grpc import RewardServiceStub
from promedical_client.address import Address
from promedical_client.checks import check_answer
from promedical_client.errors import PromedicalError
from promedical_client.transports.grpc import CHANNEL_OPTIONS, error_from_grpc
from promedical_client.transports.proxies import proxy_for
from promedical_client.transports.tls import check_tls_files
from promedical_service.settings import ConfigurationError

_AUTHORIZATION: Final = "authorization"


class CandidateError(Exception):
    """The candidate gave no answer that can be compared.

    Attributes:
        code: The contract's word for it.
        reason: What a log may say beside it; never a text of the candidate's that could quote a request.
    """

    def __init__(self, code: ErrorCode, reason: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason


class Candidate:
    """Another service.

    Args:
        url: `grpc://HOST:PORT` or `grpcs://HOST:PORT`.
        timeout_s: The deadline of a call.
        api_key_file: The file with the key to present.
        ca_file: The authorities to trust.
        cert_file: The certificate to present, for mutual TLS.
        cert_key_file: Its private key.

    Raises:
        ConfigurationError: The address cannot be used, or a file is not what it should be.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        api_key_file: Path | None = None,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        cert_key_file: Path | None = None,
    ) -> None:
        try:
            self._address = Address(url, ca_file=ca_file, cert_file=cert_file, key_file=cert_key_file)
            check_tls_files(self._address)
            self._proxy = proxy_for(self._address)
            self._api_key_file = api_key_file
            self._metadata()
            self._opened_with = self._tls_files()
        except (ValueError, OSError) as error:
            raise ConfigurationError(f"shadow_url and its files: {error}") from None
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._channel = self._open(*self._opened_with)

    def score(self, request: ScoreRequest, request_id: str) -> ScoreResponse:
        """Ask once. This blocks until the deadline at most.

        Raises:
            CandidateError: There is no answer to this request.
        """
        try:
            message = requests.encode_score_request(request)
            metadata = (("x-request-id", request_id), *self._metadata())
            wire = self._stub().ScoreBatch(message, timeout=self._timeout_s, metadata=metadata)
            answer = responses.decode_score_response(wire)
            check_answer(request, answer)
        except grpc.RpcError as error:
            failure = error_from_grpc(cast("Any", error))  # it has the methods of the asynchronous one
            unreachable = failure.code is ErrorCode.UNAVAILABLE
            raise CandidateError(failure.code, failure.message if unreachable else None) from None
        except PromedicalError as error:
            raise CandidateError(error.code, error.message) from None
        except OSError as error:
            raise CandidateError(ErrorCode.INTERNAL, f"{error.filename}: {error.strerror}") from None
        except InvalidField:
            raise CandidateError(ErrorCode.INVALID_REQUEST) from None
        except ValueError:  # it cannot be decoded, or the channel was closed
            raise CandidateError(ErrorCode.INTERNAL) from None
        return answer

    def close(self) -> None:
        """Cancel the calls in flight."""
        self._channel.close()

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        if self._api_key_file is None:
            return ()
        key = Address(self._address.url, api_key=self._api_key_file.read_text(encoding="utf-8")).api_key
        return ((_AUTHORIZATION, f"Bearer {key}"),)

    def _stub(self) -> RewardServiceStub:
        """A stub on the channel, which is a new one if TLS files have changed; calls in flight keep the old one."""
        files = self._tls_files()
        with self._lock:
            if files != self._opened_with:
                self._channel, self._opened_with = self._open(*files), files
            return RewardServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def _tls_files(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Authorities, private key, certificate."""
        return _content(self._address.ca_file), _content(self._address.key_file), _content(self._address.cert_file)

    def _open(self, ca: bytes | None, key: bytes | None, certificate: bytes | None) -> grpc.Channel:
        proxy = ("grpc.http_proxy", self._proxy.url) if self._proxy else ("grpc.enable_http_proxy", 0)
        host, options = self._address.host, (*CHANNEL_OPTIONS, proxy)
        if not self._address.is_encrypted:
            return grpc.insecure_channel(host, options=options)
        return grpc.secure_channel(host, grpc.ssl_channel_credentials(ca, key, certificate), options=options)


def _content(file: str | Path | None) -> bytes | None:
    return Path(file).read_bytes() if file else None
