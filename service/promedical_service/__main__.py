"""`promedical-serve`: settings, logs, then the service. Heavy imports wait until the configuration has been checked.

Exit codes: 0: it stopped as asked; 1: it could not start, or had to stop; 2: the configuration is wrong; 128 + N: a
second signal, number N, ended it before it had finished.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promedical_service.settings import Settings

_INCOMPLETE = 2
Serve = Callable[["Settings"], Coroutine[Any, Any, int]]


def main() -> None:
    # Before all imports: the kernel does not deliver signals that process 1 of a container does not handle, so a pod
    # that is deleted while it starts would wait for the end of its grace period.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    # Threads that spin while they wait take cores from the event loop and from neighbours in the pod.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # gRPC's own lines are no JSON, are written by whoever sends it garbage, and wait for whoever reads the log.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.exit(run(sys.argv[1:], os.environ))


def run(argv: Sequence[str], environ: Mapping[str, str], serve: Serve | None = None) -> int:
    """Serve until told to stop; returns the exit code. Tests pass a `serve` of their own."""
    try:
        from promedical_service.command_line import load_settings  # noqa: PLC0415 - heavy
        from promedical_service.settings import EXIT_MISCONFIGURED, ConfigurationError  # noqa: PLC0415 - heavy
    except ModuleNotFoundError as error:
        return _complain(f"{error.name} is not installed; run: pip install 'promedical[service]'", _INCOMPLETE)

    try:
        if argv[:1] == ["keys"]:
            from promedical_service.tenancy.new_keys import main as make_keys  # noqa: PLC0415

            return make_keys(argv[1:])
        settings = load_settings(argv, environ)
        return _check(settings) if "--check" in argv else _run(settings, serve)
    except ConfigurationError as error:
        return _complain(error, EXIT_MISCONFIGURED)
    except OSError as error:
        if error.filename is None:
            raise
        return _complain(f"{error.filename}: {error.strerror}", EXIT_MISCONFIGURED)


def _run(settings: "Settings", serve: Serve | None) -> int:
    from promedical_service.open_files import raise_open_files  # noqa: PLC0415
    from promedical_service.ports import StartError  # noqa: PLC0415
    from promedical_service.server import EXIT_FAILED  # noqa: PLC0415 - heavy
    from promedical_service.telemetry.logs import configure_logs  # noqa: PLC0415 - heavy

    configure_logs(level=settings.log_level, log_format=settings.log_format)
    raise_open_files()
    try:
        return asyncio.run((serve or _app_serve())(settings))
    except StartError as error:
        return _complain(error, EXIT_FAILED)


def _check(settings: "Settings") -> int:
    from promedical_service.checking import check  # noqa: PLC0415
    from promedical_service.telemetry.logs import configure_logs  # noqa: PLC0415

    configure_logs(level="error", log_format=settings.log_format)
    for line in [*check(settings), "the configuration is valid"]:
        print(line)  # noqa: T201 - for people
    return 0


def _app_serve() -> Serve:
    from promedical_service.app import serve  # noqa: PLC0415 - heavy

    return serve


def _complain(error: Exception | str, code: int) -> int:
    for line in str(error).splitlines():
        print(f"promedical-serve: {line}", file=sys.stderr)  # noqa: T201 - before there is a log, or instead of it
    return code


if __name__ == "__main__":
    main()
