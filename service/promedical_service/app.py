"""The composition root: the only module that knows the concrete class of every layer."""

import asyncio
import concurrent.futures
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, NoReturn, TypeVar, get_args

from promedical.messages import Limits, ModelInfo, Priority
from promedical_model.bundle.cache import undo_unfinished
from promedical_model.bundle.manifest import BundleError
from promedical_service.audit.audit_log import AuditLog
from promedical_service.audit.audited_oracle import AuditedOracle
from promedical_service.audit.sinks import open_sink, read_salt
from promedical_service.batching.admission import Admission, lane_capacity
from promedical_service.batching.batcher import Batcher
from promedical_service.batching.estimate import ThroughputEstimate
from promedical_service.engines.load import (
    EngineMissingError,
    LoadedOracle,
    ModelChoice,
    WarmUpError,
    load_oracle,
    warmed_up,
)
from promedical_service.engines.vllm.engine import EngineHooks
from promedical_service.greeting import greeting
from promedical_service.health import Health
from promedical_service.ports import Ports
from promedical_service.rubric_folder import RubricFolder
from promedical_service.scoring import Scorer
from promedical_service.server import LAST_TRACES_S, Server
from promedical_service.settings import ConfigurationError, Settings
from promedical_service.shadow.opening import open_shadow
from promedical_service.shadow.shadow import Shadow
from promedical_service.shadow.shadowed_oracle import ShadowedOracle
from promedical_service.telemetry.logs import flush_logs, for_people
from promedical_service.telemetry.metrics import Metrics
from promedical_service.telemetry.tracing import Tracing
from promedical_service.types import Oracle

Loaded = TypeVar("Loaded")

_SHORT_OF_ROOM: Final = 0.5
"""The part of the queue that is taken when only what answers callers should go on."""


async def serve(settings: Settings) -> int:
    """Serve until told to stop; returns the exit code.

    Raises:
        ConfigurationError: A file that a setting names cannot be used.
        StartError: A port cannot be opened.
    """
    tracing = Tracing(settings.trace_endpoint, settings.trace_share)
    metrics, health = Metrics(tracing.stage_finished), Health()
    rubrics = RubricFolder(settings.rubric_dir, settings.default_rubric, metrics.rubrics_read)
    oracle = OracleHost(settings, metrics, health, rubrics)
    audit = _audit_log(settings, metrics)
    shadow = open_shadow(settings, metrics.shadow, oracle.is_short_of_room)
    server = Server(
        settings=settings,
        metrics=metrics,
        health=health,
        tracing=tracing,
        start_oracle=partial(_start, oracle, audit, shadow),
        drain=oracle.close,
        keep_fresh=rubrics.keep_fresh,
        greet=partial(_greet, settings),
    )
    code = await server.run()
    logs = [partial(each.close, LAST_TRACES_S) for each in (audit, shadow) if each is not None]
    closing: list[Callable[[], None]] = [tracing.close, *logs]
    await asyncio.wait([asyncio.ensure_future(_in_daemon_thread(each)) for each in closing], timeout=LAST_TRACES_S)
    if oracle.loading:
        _end_now(code)
    return code


def _audit_log(settings: Settings, metrics: Metrics) -> AuditLog | None:
    if settings.audit_file is None:
        return None
    salt = read_salt(settings.audit_salt_file)
    sink = open_sink(settings.audit_file, max_bytes=settings.audit_max_mb * 10**6, keep=settings.audit_keep)
    return AuditLog(sink, salt, metrics.audited)


async def _start(host: "OracleHost", audit: AuditLog | None, shadow: Shadow | None) -> Oracle:
    oracle: Oracle = await host.start()
    if audit is not None:
        oracle = AuditedOracle(oracle, audit)
    return oracle if shadow is None else ShadowedOracle(oracle, shadow)


def _greet(settings: Settings, info: ModelInfo, ports: Ports) -> None:
    """Tell a person at a terminal what is there to try; whoever reads JSON gets none of it."""
    if for_people(settings.log_format):
        said = greeting(
            info.model.name,
            info.status,
            ports,
            host=settings.host,
            tls=settings.tls_cert_file is not None,
            keys=settings.keys_file is not None,
        )
        print(f"\n{said}\n", file=sys.stderr)  # noqa: T201 - for people


def _end_now(code: int) -> NoReturn:
    """Without the end of the interpreter, which aborts where a thread is inside of native code."""
    undo_unfinished()
    flush_logs()
    os._exit(code)


class OracleHost:
    """Builds the oracle behind the open ports, and takes it apart in reverse order."""

    def __init__(self, settings: Settings, metrics: Metrics, health: Health, rubrics: RubricFolder) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._rubrics = rubrics
        self._parts = AsyncExitStack()
        self._admission: Admission | None = None
        self._batcher: Batcher | None = None
        self.loading = False
        """Whether a thread loads the model."""

    async def start(self) -> Scorer:
        """Load the model, warm it up and start to batch.

        Raises:
            ConfigurationError: The model cannot be used.
        """
        try:
            return await self._start()
        except (BundleError, EngineMissingError, WarmUpError) as error:
            raise ConfigurationError(f"model: {error}") from error

    async def _start(self) -> Scorer:
        settings = self._settings
        self.loading = True
        loaded = await _in_daemon_thread(self._load)
        self._parts.push_async_callback(loaded.engine.close)
        loaded = await warmed_up(loaded)
        threads = {lane: self._pool(lane) for lane in get_args(Priority)}
        estimate = ThroughputEstimate(loaded.tokens_per_s)
        admission = self._admission = self._admission_of(estimate)
        batcher = self._batcher = self._batcher_of(loaded, admission, estimate)
        batcher.start()
        self._parts.push_async_callback(batcher.close)
        return Scorer(
            model=_describe(loaded, settings),
            renderer=loaded.renderer,
            calibration=loaded.calibration,
            admission=admission,
            catalog=self._rubrics.catalog,
            events=self._metrics,
            threads=threads,
            default_timeout_s=settings.default_timeout_s,
        )

    def is_short_of_room(self) -> bool:
        """Whether so much waits that what is not needed for an answer should be left."""
        return self._admission is not None and self._admission.filled >= _SHORT_OF_ROOM

    def _load(self) -> LoadedOracle:
        try:
            return load_oracle(self._settings.engine, _choice(self._settings), self._hooks())
        finally:
            self.loading = False

    async def close(self) -> None:
        """Answer waiting requests with `unavailable`, finish the running batch and stop the engine."""
        await self._parts.aclose()

    def _hooks(self) -> EngineHooks:
        return EngineHooks(
            down=self._engine_down,
            up=self._engine_up,
            lost=self._engine_lost,
            prefixes=self._metrics.prefixes_found,
        )

    def _engine_down(self) -> None:
        self._health.engine_down()
        if self._batcher is not None:
            self._batcher.pause()

    def _engine_up(self) -> None:
        self._health.loaded()
        if self._batcher is not None:
            self._batcher.resume()

    def _engine_lost(self) -> None:
        self._health.engine_lost()
        if self._batcher is not None:
            self._batcher.lose("the engine is gone; another replica can score this")

    def _pool(self, lane: Priority) -> ThreadPoolExecutor:
        pool = ThreadPoolExecutor(1, thread_name_prefix=lane)
        self._parts.callback(pool.shutdown, wait=False)  # waiting would hold up the event loop
        return pool

    def _admission_of(self, estimate: ThroughputEstimate) -> Admission:
        return Admission(
            self._metrics,
            estimate,
            max_queue_tokens=self._settings.max_queue_tokens,
            bulk_share=self._settings.bulk_share,
        )

    def _batcher_of(self, loaded: LoadedOracle, admission: Admission, estimate: ThroughputEstimate) -> Batcher:
        return Batcher(
            loaded.engine,
            admission,
            self._metrics,
            estimate,
            max_batch_tokens=self._settings.max_batch_tokens,
            max_batch_s=self._settings.max_batch_s,
            bulk_share=self._settings.bulk_share,
            on_lost=self._health.engine_lost,
        )


async def _in_daemon_thread(work: Callable[[], Loaded]) -> Loaded:
    """Run blocking work in a thread that, unlike an executor's, does not keep the process from ending."""
    done: concurrent.futures.Future[Loaded] = concurrent.futures.Future()

    def run() -> None:
        done.set_running_or_notify_cancel()  # from here on the work cannot be cancelled, only left alone
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            done.set_exception(error)

    threading.Thread(target=run, name="load", daemon=True).start()
    return await asyncio.wrap_future(done)


def _choice(settings: Settings) -> ModelChoice:
    return ModelChoice(
        model=settings.model,
        revision=settings.revision,
        dtype=settings.dtype,
        threads=settings.threads,
        max_batch_tokens=settings.max_batch_tokens,
        tensor_parallel=settings.tensor_parallel,
        nodes=settings.nodes,
    )


def _describe(loaded: LoadedOracle, settings: Settings) -> ModelInfo:
    return ModelInfo(
        model=loaded.ref,
        status=loaded.status,
        family=loaded.family,
        template=loaded.template,
        calibration=f"{loaded.calibration.kind} {loaded.calibration.sha256[:12]}",
        licence=loaded.licence,
        description=loaded.description,
        limits=Limits(
            max_request_bytes=settings.max_request_bytes,
            max_items=settings.max_items,
            max_responses_per_item=settings.max_responses_per_item,
            max_criteria_per_item=settings.max_criteria_per_item,
            max_path_tokens=loaded.renderer.max_path_tokens,
            max_request_tokens=lane_capacity(settings.max_queue_tokens, "bulk"),
        ),
    )
