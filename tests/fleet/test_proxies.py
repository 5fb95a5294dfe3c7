"""The fleet behind Envoy and nginx, by the configurations of docs/proxies: both transports, a replica that dies."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fleet_kit import Traffic, check_scored_once, fleet

from gated import item
from promedical_client import AsyncClient, CriterionSpec, PromedicalError, RubricSpec, ScoreItem
from serving import free_port

PROXIES = Path(__file__).resolve().parents[2] / "docs" / "proxies"
pytestmark = [pytest.mark.timeout(300), pytest.mark.proxies, pytest.mark.alone]


@contextmanager
def proxy(command, port):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{port}/readyz")
                break
            except httpx.HTTPError:
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextmanager
def envoy(them, folder):
    """One port for both transports."""
    port = free_port()
    text = (PROXIES / "envoy.yaml").read_text()
    for known, real in zip((50051, 8080), them.ports, strict=True):
        endpoint = f"- endpoint: {{address: {{socket_address: {{address: oracle-headless, port_value: {known}}}}}}}"
        assert endpoint in text
        many = "\n              ".join(
            endpoint.replace("oracle-headless", each.address).replace(str(known), str(real))
            for each in them.replicas.values()
        )
        text = text.replace(endpoint, many)
    text = text.replace("0.0.0.0, port_value: 8443", f"127.0.0.1, port_value: {port}")
    file = folder / "envoy.yaml"
    file.write_text(text)
    command = [
        Path(sys.executable).with_name("envoy"),
        "-c",
        file,
        "--log-level",
        "error",
        "--base-id",
        str(os.getpid()),
    ]
    with proxy([*map(str, command), "--concurrency", "1"], port):
        yield f"grpc://127.0.0.1:{port}", f"http://127.0.0.1:{port}"


@contextmanager
def nginx(them, folder, **changed):
    """A port for each; `changed` are directives with another value than the shipped one."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed here")
    grpc, rest = free_port(), free_port()
    text = (PROXIES / "nginx.conf").read_text()
    for name, value in changed.items():
        assert f"{name} " in text
        text = re.sub(rf"{name} \w+;", f"{name} {value};", text)
    for number, replica in them.replicas.items():
        for known, real in zip((50051, 8080), them.ports, strict=True):
            text = text.replace(f"oracle-{number}.oracle-headless:{known}", f"{replica.address}:{real}")
    assert "headless" not in text
    text = text.replace("listen 8443", f"listen 127.0.0.1:{grpc}").replace("listen 8444", f"listen 127.0.0.1:{rest}")
    folders = "".join(
        f"  {name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = re.sub(r"http \{\n", f"http {{\n  access_log off;\n{folders}", text)
    file = folder / "nginx.conf"
    own = f"pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\ndaemon off;\n"
    own += "" if os.geteuid() else "user root;\n"  # large bodies go through files in the test's folder
    file.write_text(own + text)
    with proxy(["nginx", "-p", str(folder), "-c", str(file)], rest):
        yield f"grpc://127.0.0.1:{grpc}", f"http://127.0.0.1:{rest}"


@pytest.mark.parametrize("before", [envoy, nginx])
async def test_fleet_behind_a_proxy_answers_every_call_on_both_transports(tmp_path, before):
    with fleet(3, tokens_per_s=20_000) as them, before(them, tmp_path) as (grpc_url, rest_url):
        async with AsyncClient(grpc_url) as over_grpc, AsyncClient(rest_url) as over_rest:
            assert await over_grpc.model() == await over_rest.model()
            async with Traffic(over_grpc, callers=6) as grpc_calls, Traffic(over_rest, callers=6) as rest_calls:
                await asyncio.sleep(1.5)
                shares = [replica.scored for replica in them.replicas.values()]
                them.replicas[1].kill()
                await asyncio.sleep(3)
        grpc_calls.check_all_answered()
        rest_calls.check_all_answered()
        assert min(shares) > 0.1 * sum(shares)
        assert min(len(grpc_calls.answered), len(rest_calls.answered)) > 50
    check_scored_once(them, grpc_calls, rest_calls, unlogged=12)


@pytest.mark.parametrize("before", [envoy, nginx])
async def test_rolling_restart_behind_a_proxy_costs_no_call(tmp_path, before):
    with fleet(3, tokens_per_s=20_000) as them, before(them, tmp_path) as (grpc_url, rest_url):
        async with (
            AsyncClient(grpc_url) as over_grpc,
            AsyncClient(rest_url) as over_rest,
            Traffic(over_grpc) as grpc_calls,
            Traffic(over_rest) as rest_calls,
        ):
            await them.restart_in_turn()
            await asyncio.sleep(1)
        grpc_calls.check_all_answered()
        rest_calls.check_all_answered()
        assert min(len(grpc_calls.answered), len(rest_calls.answered)) > 50
    check_scored_once(them, grpc_calls, rest_calls)


@pytest.mark.parametrize("before", [envoy, nginx])
async def test_slow_replica_behind_a_proxy_gets_less_and_costs_no_call(tmp_path, before):
    """A proxy that counts the calls in progress sends few to a replica that crawls; turns would send a third."""
    with fleet(2) as them:
        slow = them.start(2, tokens_per_s=2_000)
        with before(them, tmp_path) as (grpc_url, rest_url):
            async with (
                AsyncClient(grpc_url) as over_grpc,
                AsyncClient(rest_url) as over_rest,
                Traffic(over_grpc, callers=8) as grpc_calls,
                Traffic(over_rest, callers=8) as rest_calls,
            ):
                await asyncio.sleep(4)
            shares = [replica.scored for replica in them.replicas.values()]
            grpc_calls.check_all_answered()
            rest_calls.check_all_answered()
            assert 0 < slow.scored < 0.2 * sum(shares)
    check_scored_once(them, grpc_calls, rest_calls)


# What the shipped limits let through, and that it is these lines that do.

ENVOYS_DEFAULT_S = 15.0
"""How long Envoy waits for an answer where no route says otherwise."""
LARGE = ScoreItem(
    id="large",
    prompt="Which answer is best?",
    responses=tuple("x" * 2**20 for _ in range(30)),
    rubric=RubricSpec(criteria=(CriterionSpec(id="a", text="Says x.", dimension="excellence"),)),
)
"""Thirty megabytes, below the 32 that the service takes; each answer alone is too long for the fake engine."""


SLOW = 3000
"""Tokens per second: a call like `slow` takes 20 s or more."""


def slow() -> ScoreItem:
    """Some sixty thousand tokens."""
    return item("slow", responses=tuple("word " * 1000 + str(number) for number in range(10)))


@pytest.mark.parametrize("before", [envoy, nginx])
async def test_call_that_takes_long_passes_a_proxy(tmp_path, before):
    with fleet(3, tokens_per_s=SLOW) as them, before(them, tmp_path) as urls:
        clients = [AsyncClient(url, timeout_s=240) for url in urls]
        began = time.monotonic()
        for answer in await asyncio.gather(*(client.score([slow()]) for client in clients)):
            assert all(response.scores for response in answer.items[0].result.responses)
        assert time.monotonic() - began > ENVOYS_DEFAULT_S
        await asyncio.gather(*(client.aclose() for client in clients))


@pytest.mark.parametrize("before", [envoy, nginx])
async def test_body_as_large_as_the_service_takes_passes_a_proxy(tmp_path, before):
    with fleet(3) as them, before(them, tmp_path) as urls:
        for url in urls:
            async with AsyncClient(url, timeout_s=120) as client:
                answer = await client.score([LARGE])
                codes = {response.error.code for response in answer.items[0].result.responses}
                assert codes == {"too_long"}


async def test_nginx_with_its_own_limits_would_cut_long_calls_and_large_bodies(tmp_path):
    short = {"proxy_read_timeout": "1s", "grpc_read_timeout": "1s", "client_max_body_size": "1m"}
    with fleet(3, tokens_per_s=SLOW) as them, nginx(them, tmp_path, **short) as urls:
        for url in urls:
            async with AsyncClient(url, timeout_s=60, max_attempts=1) as client:
                for each in (slow(), LARGE):
                    with pytest.raises(PromedicalError):
                        await client.score([each])
