"""Variables of the environment that change how a service is reached: they work, or one error names the variable."""

import asyncio
import os
import socket
import socketserver
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import trustme
from typer.testing import CliRunner

from promedical_client import AsyncClient, Client, MisconfiguredError, UnavailableError
from promedical_client.address import Address
from promedical_client.cli.app import app
from promedical_client.integrations import Grader
from promedical_client.transports import proxies
from promedical_client.transports.opening import open_transport
from promedical_client.transports.proxies import Proxy, proxy_for

NOBODY = "http://127.0.0.1:1"
"""A proxy that is not there: a call by way of it cannot work."""


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No proxy, and nothing of ours."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("PROMEDICAL_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)


@pytest.fixture
def environ(monkeypatch):
    def change(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return change


@pytest.fixture(params=["http", "grpc"])
def url(request, fake_server):
    return fake_server.rest_url if request.param == "http" else fake_server.grpc_url


def ask_sync(url):
    with Client(url, timeout_s=20, max_attempts=1) as client:
        return client.model().model.engine


def ask_async(url):
    async def ask():
        async with AsyncClient(url, timeout_s=20, max_attempts=1) as client:
            return (await client.model()).model.engine

    return asyncio.run(ask())


def ask_graded(url):
    grader = Grader(url)
    grade = grader.run(lambda: grader.grade_one(grader.exchange("How much?", "4 g.")))
    grader.close()
    return "fake" if hasattr(grade, "reward") else grade


asks = pytest.mark.parametrize("ask", [ask_sync, ask_async])

HARMLESS = {
    "socks-and-no-proxy": {"ALL_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "localhost,127.0.0.1"},
    "socks-and-star": {"ALL_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "*"},
    "no-proxy-ipv6": {"no_proxy": "[::1]"},
    "no-proxy-of-all-kinds": {
        "http_proxy": NOBODY,
        "https_proxy": NOBODY,
        "no_proxy": "::1, fd00::/8,[fe80::1%eth0],.svc,10.0.0.0/8,http://[,%%,,127.0.0.0/8",
    },
    "proxy-empty": {"http_proxy": "", "HTTP_PROXY": "", "ALL_PROXY": "  ", "grpc_proxy": ""},
    "proxy-of-another-protocol": {"ftp_proxy": "junk"},
    "authorities-gone": {"SSL_CERT_FILE": "/nonexistent/ca.pem"},
    "authorities-empty": {"SSL_CERT_FILE": ""},
    "authorities-junk": {"SSL_CERT_FILE": __file__},
    "authorities-folder-gone": {"SSL_CERT_DIR": "/nonexistent"},
    "authorities-of-others": {"REQUESTS_CA_BUNDLE": "/nonexistent", "CURL_CA_BUNDLE": "/nonexistent"},
    "authorities-of-grpc": {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": "/nonexistent"},
    "key-log": {"SSLKEYLOGFILE": "/nonexistent/keys"},
    "netrc": {"NETRC": "/nonexistent"},
}


@asks
@pytest.mark.parametrize("variables", HARMLESS.values(), ids=HARMLESS.keys())
def test_variables_that_do_not_concern_a_call_do_not_disturb_it(url, environ, ask, variables):
    environ(variables)
    assert ask(url) == "fake"


UNUSABLE = {
    "socks4": ({"http_proxy": "socks4://127.0.0.1:1"}, "http_proxy"),
    "ftp": ({"HTTP_PROXY": "ftp://127.0.0.1:1"}, "HTTP_PROXY"),
    "port": ({"http_proxy": "http://name:word@127.0.0.1:port"}, "http_proxy"),
    "no-host": ({"http_proxy": "http://"}, "http_proxy"),
    "brackets": ({"http_proxy": "http://[::1"}, "http_proxy"),
    "colons": ({"http_proxy": "::::"}, "http_proxy"),
    "spaces": ({"http_proxy": "http://127.0.0.1 :1"}, "http_proxy"),
    "quotes": ({"http_proxy": f'"{NOBODY}"'}, "http_proxy"),
}


@pytest.mark.parametrize("host", ["\u2603.net", "xn--zzzz", "xn--a"], ids=ascii)
def test_host_whose_name_cannot_be_sent_is_named_before_the_call(environ, host):
    with pytest.raises(MisconfiguredError, match=rf"url is 'http://{host}:1'; expected a host"):
        open_transport(Address(f"http://{host}:1"))
    environ({"http_proxy": f"http://{host}:1"})
    with pytest.raises(MisconfiguredError, match="the proxy in http_proxy cannot be used"):
        open_transport(Address("http://oracle:1"))


@asks
@pytest.mark.parametrize(("variables", "named"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_proxy_that_cannot_be_used_is_named_and_not_quoted(url, environ, ask, variables, named):
    environ(variables)
    with pytest.raises(MisconfiguredError, match=named) as refused:
        ask(url)
    assert "word" not in str(refused.value)
    assert not refused.value.retryable


@pytest.mark.parametrize("ask", [ask_sync, ask_async, ask_graded])
def test_socks_proxy_without_its_package_is_an_error_that_says_what_to_install(fake_server, environ, ask, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    environ({"ALL_PROXY": "socks5://127.0.0.1:1"})
    with pytest.raises(MisconfiguredError, match=r"all_proxy speaks SOCKS.* pip install socksio"):
        ask(fake_server.rest_url)
    assert ask(fake_server.grpc_url) == "fake"  # gRPC does not look at this variable


@pytest.mark.parametrize(
    "variables", [{"ALL_PROXY": "socks4://x:1"}, {"http_proxy": "http://x:y"}, {"PROMEDICAL_API_KEY": "schlüssel"}]
)
def test_command_says_in_one_line_what_cannot_be_used(fake_server, environ, variables):
    environ(variables | {"PROMEDICAL_URL": fake_server.rest_url})
    done = CliRunner().invoke(app, ["model"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("promedical: ")
    assert done.stderr.count("\n") == 1


def test_command_takes_variables_that_end_in_a_line_break(url, environ):
    environ({"PROMEDICAL_URL": f"{url}\n", "PROMEDICAL_API_KEY": "0123456789abcdef\r\n"})
    assert CliRunner().invoke(app, ["model"]).exit_code == 0


# Proxies.


class Tunnel(socketserver.ThreadingTCPServer):
    """A real HTTP proxy, and the methods that it was asked for."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Tunnelled)
        self.asked = []

    @property
    def address(self):
        return f"127.0.0.1:{self.server_address[1]}"


class _Tunnelled(socketserver.BaseRequestHandler):
    server: Any  # a Tunnel

    def handle(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.request.recv(1)
        verb, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.server.asked.append(verb)
        host = target.removeprefix("http://").partition("/")[0]
        name, _, port = host.partition(":")
        with socket.create_connection((name, int(port))) as there:
            if verb == "CONNECT":
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                there.sendall(head.replace(f"http://{host}".encode(), b"", 1))
            threading.Thread(target=_copy, args=(self.request, there), daemon=True).start()
            _copy(there, self.request)


def _copy(source, target):
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def tunnel():
    with Tunnel() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("written", ["{}", "http://{}", " http://{}/\n"])
@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "grpc_proxy", "https_proxy"])
def test_call_goes_by_way_of_the_proxy_of_its_protocol(url, environ, written, variable):
    serves_grpc = variable in {"http_proxy", "HTTP_PROXY", "grpc_proxy", "https_proxy"}
    serves_rest = variable in {"http_proxy", "HTTP_PROXY", "all_proxy"}
    with tunnel() as proxy:
        environ({variable: written.format(proxy.address)})
        assert ask_sync(url) == "fake"
    expected = (["CONNECT"] if serves_grpc else []) if url.startswith("grpc") else ["GET"] if serves_rest else []
    assert proxy.asked == expected


@asks
def test_proxy_that_does_not_answer_is_named(fake_server, environ, ask):
    environ({"all_proxy": NOBODY})
    with pytest.raises(UnavailableError, match="cannot connect by way of the proxy in all_proxy"):
        ask(fake_server.rest_url)


@pytest.mark.parametrize(
    ("url", "no_proxy", "left_out"),
    [
        ("http://[::1]:8080", "[::1]", True),
        ("http://[::1]:8080", "::1", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://[::1]:8080", "[::1]:9090", False),
        ("http://[fd00::7]:1", "fd00::/8", True),
        ("http://10.1.2.3:80", "10.0.0.0/8", True),
        ("http://11.1.2.3:80", "10.0.0.0/8", False),
        ("http://10.1.2.3:80", "10.1.2.30", False),
        ("http://oracle.ns.svc:80", ".svc", True),
        ("http://oracle.ns.svc:80", "*.svc", True),
        ("http://oracle.ns.svc.:80", "svc", True),
        ("http://oracle.ns.svc:80", "vc", False),
        ("http://ORACLE:80", "oracle", True),
        ("http://oracle:80", " Oracle ,other", True),
        ("http://oracle:80", "oracle:80", True),
        ("http://oracle:80", "oracle:81", False),
        ("http://oracle:80", "http://oracle", True),
        ("http://oracle", ",,", False),
        ("http://oracle", "other oracle\n", True),
        ("grpc://oracle:1", "*", True),
    ],
)
def test_no_proxy_names_hosts_networks_and_ports(environ, url, no_proxy, left_out):
    environ({"http_proxy": "proxy:3128", "no_proxy": no_proxy})
    proxy = proxy_for(Address(url))
    assert proxy == (None if left_out else Proxy(variable="http_proxy", url="http://proxy:3128"))


def test_grpc_has_a_variable_of_its_own_for_what_is_left_out(environ):
    environ({"http_proxy": "proxy:3128", "no_proxy": "oracle", "no_grpc_proxy": "other"})
    assert proxy_for(Address("grpc://oracle:1")) == Proxy(variable="http_proxy", url="http://proxy:3128")
    assert proxy_for(Address("grpc://other:1")) is None
    assert proxy_for(Address("http://oracle:1")) is None


@pytest.mark.parametrize("scheme", ["https", "socks5", "socks5h"])
def test_grpc_leaves_out_proxies_that_it_cannot_speak_to(environ, scheme):
    environ({"https_proxy": f"{scheme}://proxy:1", "http_proxy": "http://proxy:1"})
    assert proxies.proxy_for(Address("grpc://oracle:1")) is None
    assert proxies.proxy_for(Address("https://oracle:1")).url == f"{scheme}://proxy:1"


# TLS.


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
@pytest.mark.parametrize("content", [None, "no certificate", ""])
def test_authorities_of_the_environment_that_cannot_be_used_are_named(environ, tmp_path, scheme, content):
    variable = "SSL_CERT_FILE" if scheme == "https" else "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    environ({variable: str(file)})
    with pytest.raises(MisconfiguredError, match=f"{variable} is {file}"):
        open_transport(Address(f"{scheme}://127.0.0.1:1"))
    trustme.CA().cert_pem.write_to_path(tmp_path / "mine.pem")
    open_transport(Address(f"{scheme}://127.0.0.1:1", ca_file=tmp_path / "mine.pem"))  # is not asked then


def test_file_for_tls_keys_that_cannot_be_written_is_named(environ, tmp_path):
    environ({"SSLKEYLOGFILE": str(tmp_path / "none" / "keys")})
    with pytest.raises(MisconfiguredError, match=r"SSLKEYLOGFILE is .*cannot be written"):
        open_transport(Address("https://127.0.0.1:1"))


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
@pytest.mark.parametrize("wrong", ["ca_file", "cert_file", "key_file", "encrypted"])
def test_tls_file_with_something_else_in_it_is_named(tmp_path, scheme, wrong):
    issued, junk = trustme.CA().issue_cert("127.0.0.1"), tmp_path / "junk.pem"
    junk.write_text("no certificate")
    files = {name: tmp_path / f"{name}.pem" for name in ("ca_file", "cert_file", "key_file")}
    trustme.CA().cert_pem.write_to_path(files["ca_file"])
    issued.cert_chain_pems[0].write_to_path(files["cert_file"])
    issued.private_key_pem.write_to_path(files["key_file"])
    if wrong == "encrypted":
        files["key_file"].write_bytes(encrypted(issued.private_key_pem.bytes()))
    else:
        files[wrong] = junk
    with pytest.raises(MisconfiguredError, match="key_file" if wrong == "encrypted" else f"{wrong}.*junk"):
        open_transport(Address(f"{scheme}://127.0.0.1:1", **files))


def encrypted(pem):
    from cryptography.hazmat.primitives import serialization as s

    key = s.load_pem_private_key(pem, None)
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"word"))


def test_plain_http_needs_no_authorities(monkeypatch):
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", None)
    open_transport(Address("http://127.0.0.1:1"))
