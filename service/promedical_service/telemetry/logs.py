"""One log pipeline: our lines and those of uvicorn, grpc and asyncio go to stderr as JSON, or as text for people.

An exception is logged by its type and its stack frames, never by its message, which may quote a request.
"""

import asyncio
import logging
import os
import sys
import traceback
from types import TracebackType
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from promedical_service.telemetry.queued_handler import QueuedHandler

_NOISY: Final = ("uvicorn.access", "httpcore", "httpx", "asyncio")
_NO_BARS: Final = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""Libraries that fetch and convert models draw bars, which people want to see and machines cannot read."""
_ACCEPT_FAILED: Final = "socket.accept() out of system resource"


def configure_logs(*, level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Set up logging for this process; call it once, before anything logs.

    Args:
        level: The least that is logged.
        log_format: json, console, or auto.
        stream: For tests; None: stderr, whose reader nobody waits for.
    """
    shared = _shared_processors()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    people = for_people(log_format)
    handler = QueuedHandler(sys.stderr.fileno()) if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(people=people)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)  # else they would appear between the JSON lines as plain text
    if people and level != "debug":
        logging.getLogger("py.warnings").setLevel(logging.ERROR)  # they speak to developers of libraries
    if not people:
        os.environ |= _NO_BARS
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def for_people(log_format: str) -> bool:
    """Whether logs in this format are text for people; `auto` is, where standard error is a terminal."""
    return log_format == "console" or (log_format == "auto" and sys.stderr.isatty())


def dropped_lines() -> int:
    """Log lines that were dropped since nobody read them."""
    return sum(handler.dropped for handler in logging.getLogger().handlers if isinstance(handler, QueuedHandler))


def flush_logs() -> None:
    """Wait a moment for lines on their way, before the process ends without the interpreter's own end."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def get_logger(name: str) -> Any:
    """A structlog logger; its lines carry `logger: name`."""
    return structlog.stdlib.get_logger(name)


def describe_error(error: BaseException) -> dict[str, Any]:
    """What may be logged about an unexpected exception: its type, and file:line of the last frames."""
    return {"error_type": type(error).__qualname__, "frames": _frames(error.__traceback__)}


def log_loop_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log exceptions that no task awaited; asyncio's own handler would print their text."""

    def log_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("message") == _ACCEPT_FAILED:
            return  # the listener has said so, less often
        error = context.get("exception")
        detail = describe_error(error) if isinstance(error, BaseException) else {}
        get_logger("promedical.loop").error("error outside any request", **detail)

    loop.set_exception_handler(log_error)


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_message_of_exception,
    ]


def _renderer(*, people: bool) -> Processor:
    if people:
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.JSONRenderer()


def _without_message_of_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace exc_info with what `describe_error` allows."""
    info = event.pop("exc_info", None)
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        info = info or record.exc_info
        record.exc_info, record.exc_text = None, None
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    return {**event, **describe_error(error)} if isinstance(error, BaseException) else event


def _frames(trace: TracebackType | None) -> list[str]:
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(trace)[-6:]]
