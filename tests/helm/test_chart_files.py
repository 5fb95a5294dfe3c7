"""The chart's programs: the download against a hub on loopback, and what `helm test` says of mutual TLS."""

import asyncio
import hashlib
import json
import os
import runpy
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme
from chart import CHART, containers, example, objects, pod_specs, template
from edges_kit import running

from serving import free_port

REPOSITORY, REVISION = "org/model", "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "model.safetensors": b"weights" * 1000,
    "pytorch_model.bin": b"never",
    "modeling_evil.py": b"never",
}


class Hub(ThreadingHTTPServer):
    """The two questions of the hub's protocol that a download asks."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked = []
        self.missing = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Any  # a Hub

    def log_message(self, *_): ...

    def do_GET(self):
        self.server.asked.append(self.path)
        body = self._content()
        self.send_response(404 if body is None else 200)
        self.send_header("ETag", f'"{hashlib.sha256(body or b"").hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if body and self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def _content(self):
        if self.path.startswith(f"/api/models/{REPOSITORY}/revision/{REVISION}"):
            return json.dumps(
                {"id": REPOSITORY, "sha": REVISION, "siblings": [{"rfilename": n} for n in FILES]}
            ).encode()
        if self.path.startswith(f"/api/models/{REPOSITORY}/tree/{REVISION}"):
            return json.dumps(
                [{"type": "file", "path": n, "size": len(b), "oid": "0"} for n, b in FILES.items()]
            ).encode()
        name = self.path.rsplit("/", 1)[-1]
        wanted = self.path == f"/{REPOSITORY}/resolve/{REVISION}/{name}" and name not in self.server.missing
        return FILES.get(name) if wanted else None


@pytest.fixture
def hub():
    with Hub() as server:
        yield server
        server.shutdown()


def fetch(hub, folder, tmp_path):
    environ = {"HF_HOME": str(tmp_path / "cache"), "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}"}
    environ |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "PATH": os.environ["PATH"]}
    command = [sys.executable, CHART / "files" / "fetch_model.py", REPOSITORY, REVISION, folder]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)


def test_download_brings_weights_and_texts_and_no_code(hub, tmp_path):
    folder = tmp_path / "model" / REVISION
    done = fetch(hub, folder, tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} == {"config.json", "tokenizer.json", "model.safetensors"}
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_download_asks_nobody_when_the_model_is_there(hub, tmp_path):
    folder = tmp_path / "model" / REVISION
    folder.mkdir(parents=True)
    done = fetch(hub, folder, tmp_path)
    assert done.returncode == 0, done.stderr
    assert hub.asked == []


def test_download_that_fails_leaves_no_model_and_goes_on_later(hub, tmp_path):
    folder = tmp_path / "model" / REVISION
    hub.missing.add("model.safetensors")
    assert fetch(hub, folder, tmp_path).returncode != 0
    assert not folder.exists()
    hub.missing.clear()
    assert fetch(hub, folder, tmp_path).returncode == 0
    assert (folder / "model.safetensors").is_file()


def test_server_reads_where_the_download_writes(helm4):
    manifests = objects(template(helm4, example("hub-download")))
    (spec,) = [spec for spec in pod_specs(manifests).values() if "initContainers" in spec]
    init, server = containers(spec)
    (config,) = [m for m in manifests if m["kind"] == "ConfigMap"]
    assert f"model: {init['args'][-1]}" in config["data"]["settings.yaml"]
    assert init["args"][0].strip() == (CHART / "files" / "fetch_model.py").read_text().strip()
    environ = {entry["name"]: entry.get("value") for entry in init["env"]}
    assert environ["HF_HUB_OFFLINE"] == "0"
    assert {m["name"]: m.get("readOnly", False) for m in server["volumeMounts"]}["model"] is True
    assert {m["name"]: m.get("readOnly", False) for m in init["volumeMounts"]}["model"] is False


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def tls_files(authority, tmp_path):
    """A server's settings, with a certificate for 127.0.0.1."""
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    issued = authority.issue_cert("127.0.0.1")
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    return {"tls_cert_file": cert, "tls_key_file": key}


@pytest.fixture
def refusal(authority, monkeypatch, tmp_path, capsys):
    """What the check says of a port, run beside the server."""

    async def check(port, trusted=authority):
        trusted.cert_pem.write_to_path(tmp_path / "ca.crt")
        environ = {"REST_URL": f"https://127.0.0.1:{port}", "GRPC_URL": "", "CA_FILE": str(tmp_path / "ca.crt")}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["check_release.py", "refused-without-certificate"])
        await asyncio.to_thread(runpy.run_path, str(CHART / "files" / "check_release.py"))
        return capsys.readouterr().out.splitlines()[-1]

    return check


async def test_check_finds_that_mutual_tls_refuses(authority, tls_files, refusal, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "clients.crt")
    async with running(**tls_files, tls_client_ca_file=tmp_path / "clients.crt") as server:
        assert "refused-without-certificate: refused: " in await refusal(server.ports.rest)
        with pytest.raises(ssl.SSLCertVerificationError):
            await refusal(server.ports.rest, trustme.CA())


async def test_check_finds_a_server_that_asks_for_no_certificate(tls_files, refusal):
    async with running(**tls_files) as server:
        with pytest.raises(AssertionError, match="answered without"):
            await refusal(server.ports.rest)


async def test_check_takes_a_closed_port_for_no_refusal(refusal):
    with pytest.raises(ConnectionRefusedError):
        await refusal(free_port())
