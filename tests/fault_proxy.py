"""A proxy on real sockets in front of a model's server, which lets calls pass, or fails them as real servers do.

It runs in a thread, keeps what every caller asked, and counts what came to it and what it passed on.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

CHECK = "Are you ready?"

Script = Callable[[dict[str, Any], int], str | None]
"""The body of a call, and how often it came before, to the name of a fault; None lets it pass."""


@dataclass
class Call:
    body: dict[str, Any]
    headers: str
    fault: str | None
    began: float
    ended: float | None = None

    def __post_init__(self) -> None:
        self.question = json.dumps(self.body["messages"])
        self.is_check = CHECK in self.question


@dataclass
class Proxy:
    upstream: str
    script: Script = lambda body, before: None
    delay_s: float = 0.0
    faults_checks: bool = False
    url: str = ""
    log: list[Call] = field(default_factory=list)
    handling: set[asyncio.Task[Any] | None] = field(default_factory=set)

    @property
    def calls(self) -> list[Call]:
        """All that a run asked, without the checks before it."""
        return [call for call in self.log if not call.is_check]

    @property
    def answered(self) -> int:
        return sum(call.ended is not None for call in self.calls)

    @property
    def by_question(self) -> Counter[str]:
        return Counter(call.question for call in self.calls)

    def wait_for(self, calls: int) -> None:
        """Wait until so many calls have come in all."""
        deadline = time.monotonic() + 120
        while len(self.calls) < calls:
            assert time.monotonic() < deadline, f"{len(self.calls)} of {calls} calls came"
            time.sleep(0.02)

    def faults(self) -> Counter[str | None]:
        return Counter(call.fault for call in self.calls)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handling.add(asyncio.current_task())
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            await close(writer)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.decode().split("\r\n") if line.lower().startswith("content-length:")]
        sent = await reader.readexactly(int(lengths[0].split(":")[1]) if lengths else 0)
        body = json.loads(sent)
        call = Call(body, head.decode(), None, time.time())
        before = sum(each.question == call.question for each in self.log)
        self.log.append(call)
        call.fault = None if call.is_check and not self.faults_checks else self.script(body, before)
        await asyncio.sleep(self.delay_s)
        answer, keeps = await self._answer(call, sent, writer)
        if answer:
            writer.write(answer)
            await writer.drain()
        call.ended = time.time()
        return keeps

    async def _answer(self, call: Call, sent: bytes, writer: asyncio.StreamWriter) -> tuple[bytes, bool]:
        """What to send, and whether the connection stays open."""
        if call.fault is None:
            return response(*await self._pass_on(sent)), True
        if call.fault in ON_THE_WIRE:
            await ON_THE_WIRE[call.fault](writer)
            return b"", False
        if call.fault == "truncated_json":
            cut = json.dumps(completion("an answer")).encode()[:40]
            return f"HTTP/1.1 200 OK\r\nContent-Length: {len(cut)}\r\n\r\n".encode() + cut, True
        return response(*answer_of(call.fault, call.question)), True

    async def _pass_on(self, sent: bytes) -> tuple[int, Any]:
        place = urlsplit(self.upstream)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(sent)}\r\nConnection: close\r\n\r\n".encode() + sent)
            answer = await reader.read()
        finally:
            await close(writer)
        status, _, body = answer.partition(b"\r\n\r\n")
        return int(status.split()[1]), json.loads(body)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def answer_of(fault: str, question: str) -> tuple[Any, ...]:
    """Status, body and headers. Errors quote the question, as some servers do."""
    quoted = {"error": {"message": question}}
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    answers = {
        "429_seconds": (429, quoted, "Retry-After: 1"),
        "429_date": (429, quoted, f"Retry-After: {later}"),
        "429_bare": (429, quoted),
        "too_long": (400, {"error": {"code": "context_length_exceeded", "message": question}}),
        "bad_request": (400, quoted),
        "not_a_completion": (200, {"object": "nothing", "choices": []}),
        "wrong_schema": (200, completion('{"difficulty": "seven"}')),
        "cut_off": (200, completion('{"difficulty": 1', "length")),
        "refusal": (200, completion("", refusal="I cannot help with that.")),
        "content_filter": (200, completion("", "content_filter")),
    }
    return answers[fault] if fault in answers else (int(fault), quoted)


async def reset_in_head(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def reset_in_body(writer: asyncio.StreamWriter) -> None:
    whole = response(200, completion("an answer"))
    writer.write(whole[: len(whole) // 2])
    await writer.drain()
    writer.transport.abort()


async def slow_drip(writer: asyncio.StreamWriter) -> None:
    for byte in response(200, completion("an answer")):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


ON_THE_WIRE = {"reset_in_head": reset_in_head, "reset_in_body": reset_in_body, "slow_drip": slow_drip}


def response(status: int, body: Any, *headers: str) -> bytes:
    content = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


def completion(text: str, finish: str = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return {"object": "chat.completion", "model": "proxy", "choices": [choice], "usage": usage}


@contextmanager
def running_proxy(upstream: str, script: Script = lambda body, before: None, *, delay_s: float = 0) -> Iterator[Proxy]:
    proxy = Proxy(upstream, script, delay_s)
    loop = asyncio.new_event_loop()

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(proxy.handle, "127.0.0.1", 0)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(serve(), loop).result()
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    async def end() -> None:
        for listening in server.sockets:  # a server that closes while it accepts leaves that connection open
            loop.remove_reader(listening.fileno())
        while others := asyncio.all_tasks() - {asyncio.current_task()}:  # what was accepted becomes a task of ours
            for task in others & proxy.handling:
                task.cancel()
            await asyncio.wait(others, timeout=0.1)
        server.close()

    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
