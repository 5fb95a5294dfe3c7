"""Metrics and logs: which routes were called how often and how long; never what was said, by whom, or about what."""

import logging
import sys
import time
import traceback
from typing import Any, Final, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import EventDict, WrappedLogger

from promedical_review.web.assets import FOLDER

_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10)
_UNKNOWN: Final = "unknown"
_SILENT: Final = frozenset({"/healthz", "/readyz", FOLDER})
"""Routes that are called so often that their lines would hide the others."""


class Metrics:
    """Every metric of the app, in a registry of its own."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        names = ("method", "route", "status")
        self._requests = Counter("promedical_review_requests", "Requests answered.", names, registry=self.registry)
        self._seconds = Histogram(
            "promedical_review_request_seconds",
            "Time until the whole answer was sent.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note a request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


class Watched:
    """Notes every request in metrics and in the log, by the route's pattern: paths hold ids."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._log = logging.getLogger("promedical_review.web")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            self._note(scope, status, time.perf_counter() - began)
        return None

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = _pattern(scope)
        self._metrics.answered(scope["method"], route, status, seconds)
        if route not in _SILENT:
            facts = {"method": scope["method"], "route": route, "status": status, "ms": round(seconds * 1000, 1)}
            self._log.info("request", extra=facts)


def _pattern(scope: Scope) -> str:
    """The pattern of the route that answered, such as /rubrics/{task_id}; unknown where none did."""
    return str(getattr(scope.get("route"), "path", FOLDER if scope["path"].startswith(f"{FOLDER}/") else _UNKNOWN))


def configure_logs(*, stream: TextIO | None = None) -> None:
    """Log as one line of JSON an event, for this process; uvicorn's lines too."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_messages_of_exceptions,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    renderers: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.JSONRenderer(),
    ]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=renderers))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in ("alembic", "httpx", "httpx2", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _without_messages_of_exceptions(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """An exception is logged by its type and its frames: its message may quote what somebody wrote."""
    info = event.pop("exc_info", None)
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        info = info or record.exc_info
        record.exc_info, record.exc_text = None, None
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if not isinstance(error, BaseException):
        return event
    frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-6:]]
    return {**event, "error_type": type(error).__qualname__, "frames": frames}
