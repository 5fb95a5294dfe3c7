"""What `helm test` runs in the service's image: one check of the release's Service; the argument names it."""

import os
import socket
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from promedical_client import Client, UnauthenticatedError

REST_URL, GRPC_URL = os.environ["REST_URL"], os.environ["GRPC_URL"]
API_KEY = Path(os.environ["API_KEY_FILE"]).read_text().strip() if "API_KEY_FILE" in os.environ else None
CA_FILE, CERT_FILE, KEY_FILE = (os.environ.get(name) for name in ("CA_FILE", "CERT_FILE", "KEY_FILE"))
PROMPT = "How much paracetamol may an adult take in a day?"
RESPONSES = ("As much as you like.", "Usually at most 4 g in 24 hours; less with liver disease.")


def score(url: str) -> str:
    """Rank two answers, or expect to be refused if a key is needed and there is none."""
    options = {"ca_file": CA_FILE, "cert_file": CERT_FILE, "key_file": KEY_FILE}
    with Client(url, api_key=API_KEY, timeout_s=120, **options) as client:
        try:
            answer = client.rank(PROMPT, RESPONSES, rubric_id="general-medical")
        except UnauthenticatedError:
            if API_KEY is None and os.environ.get("KEYS_REQUIRED"):
                return "refused without a key, as it must be"
            raise
    rewards = [response.scores.reward for response in answer.result.responses]
    assert len(rewards) == len(RESPONSES), rewards
    return f"rewards {rewards} by {answer.model.name} ({answer.model.engine}), fingerprint {answer.model.fingerprint}"


def context() -> ssl.SSLContext | bool:
    """The context for HTTPS; plain HTTP ignores it."""
    if CA_FILE is None:
        return True
    made = ssl.create_default_context(cafile=CA_FILE)
    if CERT_FILE:
        made.load_cert_chain(CERT_FILE, KEY_FILE)
    return made


def health() -> str:
    """Check both names that probes ask for, over the port that clients use, and the answers over REST."""
    target = GRPC_URL.split("://")[1]
    with channel(target) as opened:
        stub = health_pb2_grpc.HealthStub(opened)
        for name in ("readiness", "liveness", "promedical.v1.RewardService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, name
    with httpx.Client(verify=context(), timeout=10) as http:
        for path in ("/healthz", "/readyz"):
            http.get(REST_URL + path).raise_for_status()
    return "ready and live on both ports"


def channel(target: str) -> grpc.Channel:
    """A channel as the SDK opens it."""
    if CA_FILE is None:
        return grpc.insecure_channel(target)
    files = [Path(name).read_bytes() if name else None for name in (CA_FILE, KEY_FILE, CERT_FILE)]
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(*files))


def metrics() -> str:
    """Check that the series that alerts and scalers read exist."""
    with httpx.Client(verify=context(), timeout=10) as http:
        text = http.get(REST_URL + "/metrics").raise_for_status().text
    names = ("promedical_ready 1.0", "promedical_queue_tokens{", "promedical_requests_total{", "promedical_model_info{")
    missing = [name for name in names if name not in text]
    assert not missing, missing
    return f"{len(text.splitlines())} lines"


def refused() -> str:
    """Check mutual TLS: the server proves who it is, then ends a connection without a client's certificate.

    In TLS 1.3 it does so after the handshake, so an earlier failure, such as of its own certificate, is not a refusal.
    """
    address = urlsplit(REST_URL)
    trusting = ssl.create_default_context(cafile=CA_FILE)
    trusting.minimum_version = ssl.TLSVersion.TLSv1_3
    with (
        socket.create_connection((address.hostname, address.port), timeout=10) as plain,
        trusting.wrap_socket(plain, server_hostname=address.hostname) as opened,
    ):
        try:
            opened.sendall(f"GET /healthz HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
            answer = opened.recv(1)
        except (ssl.SSLError, ConnectionError) as error:
            return f"refused: {error}"
    assert not answer, "answered without a client's certificate"
    return "refused: the connection ended without an answer"


CHECKS = {
    "score-rest": lambda: score(REST_URL),
    "score-grpc": lambda: score(GRPC_URL),
    "health": health,
    "metrics": metrics,
    "refused-without-certificate": refused,
}
print(f"{sys.argv[1]}: {CHECKS[sys.argv[1]]()}")
