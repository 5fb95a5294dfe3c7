"""The life of the process: open the ports, load the oracle behind them, serve, drain, stop.

REST, gRPC and the health port share one event loop. This module knows the edges but not what answers: the oracle
comes from a function that is called after the ports are open.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from promedical.messages import ModelInfo
from promedical_service.edges.desk import Desk
from promedical_service.edges.dropins.endpoint import DropInEndpoint
from promedical_service.edges.dropins.scorer import ExchangeScorer
from promedical_service.edges.grpc.server import build_grpc_server, build_health_server
from promedical_service.edges.rest.listener import FLUSH_S, build_rest_server
from promedical_service.edges.rest.server import RestEdge
from promedical_service.edges.tls import load_tls
from promedical_service.health import Health
from promedical_service.limits import CountLimits
from promedical_service.opening import open_grpc, open_rest
from promedical_service.ports import Ports, StartError
from promedical_service.settings import EXIT_MISCONFIGURED, LARGEST_AT_ONCE, ConfigurationError, Settings
from promedical_service.telemetry.logs import describe_error, flush_logs, get_logger, log_loop_errors
from promedical_service.telemetry.metrics import Metrics
from promedical_service.telemetry.tracing import Tracing
from promedical_service.tenancy.key_ring import KeyRing
from promedical_service.tenancy.rates import Rates
from promedical_service.types import Oracle

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
_EXIT_SIGNAL: Final = 128
_FLUSH_S: Final = 2.0
_END_S: Final = 5.0
"""How many seconds the oracle gets after `drain_s` to finish the running batch."""
LAST_TRACES_S: Final = 2.0
CLOSING_S: Final = _END_S + _FLUSH_S + max(_FLUSH_S, FLUSH_S) + LAST_TRACES_S
"""The most seconds that the process needs after `drain_s`."""
_REREAD_S: Final = 2.0
"""Between looks at the keys file and the TLS files."""
_SPARE_CONNECTIONS: Final = 256
"""Connections for probes, and for clients that keep connections which they do not use."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Server:
    """REST, gRPC and health around one oracle.

    Args:
        settings: Addresses, files and limits of the edges.
        metrics: The metrics that `/metrics` shows.
        health: The state that probes see; `engine_lost()` may be called on it from the event loop.
        tracing: It makes the spans of calls.
        start_oracle: Loads the model and warms it up; it is called once, after the ports are open. It raises
            ConfigurationError for a model that the operator chose wrongly.
        drain: Ends the oracle. When it returns, everything that the oracle still held is answered by `unavailable`.
        greet: Told once, when the service is ready, which oracle answers on which ports.
        keep_fresh: Runs beside the service, to read again what the oracle was made of.

    Raises:
        ConfigurationError: The keys file, a TLS file or the rate limit cannot be used.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        metrics: Metrics,
        health: Health,
        tracing: Tracing,
        start_oracle: Callable[[], Awaitable[Oracle]],
        drain: Callable[[], Awaitable[None]],
        greet: Callable[[ModelInfo, Ports], None] = lambda *_: None,
        keep_fresh: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0),
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._start_oracle = start_oracle
        self._drain_oracle = drain
        self._greet = greet
        self._keep_fresh = keep_fresh
        self._tls = load_tls(settings, metrics.files.tls_read)
        self._keys = KeyRing(settings.keys_file, on_read=metrics.keys_read)
        self._desk = Desk(
            keys=self._keys,
            rates=Rates(settings.rate_limit, settings.token_rate_limit),
            queue_share=settings.key_queue_share,
            health=health,
            events=metrics,
            tracing=tracing,
            max_concurrent_requests=settings.max_concurrent_requests,
            max_concurrent_bytes=LARGEST_AT_ONCE * settings.max_request_bytes,
        )
        self._limits = CountLimits(
            max_items=settings.max_items,
            max_responses_per_item=settings.max_responses_per_item,
            max_criteria_per_item=settings.max_criteria_per_item,
        )
        self._most_at_once = settings.max_concurrent_requests + _SPARE_CONNECTIONS
        self._rest = build_rest_server(self._rest_edge().app(), self._tls)
        self._grpc: list[grpc.aio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._over = asyncio.Event()
        self._exit_code = EXIT_OK
        self._failure: dict[str, Any] = {}
        self._stuck = False
        self._log = get_logger("promedical.server")

    def _rest_edge(self) -> RestEdge:
        exchanges = ExchangeScorer(
            default_rubric=self._settings.default_rubric,
            gather_s=self._settings.gather_s,
            max_responses=self._settings.max_responses_per_item,
            on_round=self._metrics.round_closed,
        )
        return RestEdge(
            drop_ins=DropInEndpoint(exchanges, self._limits, self._settings.thoughts),
            desk=self._desk,
            health=self._health,
            metrics=self._metrics,
            max_request_bytes=self._settings.max_request_bytes,
            limits=self._limits,
            overload_status=self._settings.overload_status,
            keys_required=self._keys.required,
            metrics_need_key=self._settings.metrics_need_key,
        )

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code. A second signal ends the process at once.

        Raises:
            StartError: A port cannot be opened.
        """
        loop = asyncio.get_running_loop()
        log_loop_errors(loop)
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        await self.start()
        await self._over.wait()
        await self.stop()
        if self._stuck:
            flush_logs()
            os._exit(EXIT_FAILED)  # the interpreter would wait at its end for the threads that hang
        return self._exit_code

    async def start(self) -> Ports:
        """Open the ports and begin to load.

        Raises:
            StartError: A port cannot be opened; the error names it.
        """
        self._health.subscribe(self._metrics.state_changed)
        listener = open_rest(self._settings, max_connections=self._most_at_once)
        try:
            grpc_port, health_port = await self._open_grpc()
        except StartError:
            listener.close()
            raise
        ports = Ports(rest=listener.getsockname()[1], grpc=grpc_port, health=health_port)
        work = (self._serve_rest(listener), self._load(ports), self._keep_files_fresh(), self._keep_fresh())
        self._tasks = [asyncio.ensure_future(each) for each in work]
        self._announce(ports)
        return ports

    async def stop(self) -> None:
        """Finish calls in progress within `drain_s`, refuse new ones, then close; every call is answered.

        If the oracle has not ended a few seconds later, it is left behind.
        """
        ends = asyncio.get_running_loop().time() + self._settings.drain_s + _END_S
        self._health.stop()
        self._log.info("draining", in_flight=self._desk.in_flight, at_most_s=self._settings.drain_s)
        for task in self._tasks[1:]:
            task.cancel()
        # gRPC clients are told at once to go elsewhere. REST has no such message: it answers 503 until the end.
        leaving = asyncio.create_task(self._grpc[0].stop(self._settings.drain_s + _END_S + _FLUSH_S))
        await self._idle_within(self._settings.drain_s)
        await self._end_oracle(ends)
        await self._idle_within(_FLUSH_S)
        self._rest.should_exit = True
        closing = [leaving, *(server.stop(_FLUSH_S) for server in self._grpc)]
        await asyncio.gather(*self._tasks, *closing, return_exceptions=True)
        say = self._log.error if self._failure else self._log.info
        say("stopped", unanswered=self._desk.in_flight, **self._failure)

    async def _idle_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._desk.idle()

    async def _end_oracle(self, ends: float) -> None:
        """End the oracle, but never raise, since the ports must close whatever happens here."""
        ending = asyncio.ensure_future(self._drain_oracle())
        await asyncio.wait({ending}, timeout=ends - asyncio.get_running_loop().time())
        if not ending.done():
            ending.cancel()  # without waiting, since a task that hangs may ignore it
            self._stuck = True
            self._log.error("the oracle does not end; the service closes without it")
        elif error := ending.exception():
            self._log.error("the oracle did not end well", **describe_error(error))

    async def _serve_rest(self, listener: socket.socket) -> None:
        await self._rest.serve(sockets=[listener])
        if not self._rest.should_exit:
            self._fail("the REST server ended by itself")

    async def _keep_files_fresh(self) -> None:
        """Whether anybody calls or not: alerts must hear of a keys file that turned bad."""
        while True:
            await asyncio.sleep(_REREAD_S)
            self._keys.reread()
            if self._tls is not None:
                self._tls.reread()

    async def _load(self, ports: Ports) -> None:
        try:
            self._greet(self._open_to_calls(await self._start_oracle()), ports)
        except ConfigurationError as error:
            self._fail("the model cannot be loaded", EXIT_MISCONFIGURED, reason=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the process is of no use
            self._fail("the model cannot be loaded", reason=str(error), **describe_error(error))

    def _open_to_calls(self, oracle: Oracle) -> ModelInfo:
        # What is loaded stays, and the garbage collector would otherwise walk it again and again.
        gc.collect()
        gc.freeze()
        info = oracle.model()
        model = info.model
        self._metrics.model_loaded(model)
        self._desk.open(oracle)
        self._health.loaded()
        self._log.info(
            "ready",
            model=model.name,
            fingerprint=model.fingerprint,
            engine=model.engine,
            dtype=model.dtype,
            status=info.status,
            licence=info.licence,
        )
        return info

    def _fail(self, message: str, exit_code: int = EXIT_FAILED, **detail: Any) -> None:
        """End with an exit code; the last line of the log says why again."""
        self._log.error(message, **detail)
        self._failure = {"because": message} | {name: detail[name] for name in ("reason",) if name in detail}
        self._exit_code = exit_code
        self._over.set()

    def _on_signal(self, number: int) -> None:
        if self._over.is_set():
            self._log.warning("second signal, ending now")
            flush_logs()
            os._exit(_EXIT_SIGNAL + number)
        self._over.set()

    def _on_hangup(self) -> None:
        self._log.info("hangup: nothing to do, since changed keys, TLS files and rubrics are read by themselves")

    async def _open_grpc(self) -> tuple[int, int | None]:
        settings = self._settings
        main = build_grpc_server(
            desk=self._desk,
            health=self._health,
            limits=self._limits,
            max_request_bytes=settings.max_request_bytes,
            max_at_once=self._most_at_once,
            connection_max_age_s=settings.connection_max_age_s,
        )
        self._grpc.append(main)
        grpc_port = open_grpc("gRPC", main, settings.host, settings.grpc_port, self._tls)
        health_port = None
        if settings.health_port is not None:
            probes = build_health_server(self._health, _SPARE_CONNECTIONS, settings.connection_max_age_s)
            self._grpc.append(probes)
            health_port = open_grpc("health", probes, settings.host, settings.health_port, None)
        for server in self._grpc:
            await server.start()
        return grpc_port, health_port

    def _announce(self, ports: Ports) -> None:
        self._log.info(
            "listening",
            host=self._settings.host,
            rest_port=ports.rest,
            grpc_port=ports.grpc,
            health_port=ports.health,
            tls=self._tls is not None,
            keys=self._keys.required,
        )
