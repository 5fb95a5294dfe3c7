"""The command line of `promedical-serve`: flags and environment to settings, and errors that name what was wrong."""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

import promedical
from promedical_service.settings import ENV_PREFIX, ConfigurationError, Settings

# Variables that have our prefix but are not settings: those of the SDK and the model library, and those that
# Kubernetes sets for a Service called promedical.
_FOREIGN_ENV: Final = re.compile(
    r"PROMEDICAL_(API_KEY|CA_FILE|TARGET|URL|CLIENT_.*|CACHE|BAKED|OFFLINE"
    r"|(.*_)?SERVICE_(HOST|PORT)(_.*)?|(.*_)?PORT_\d+_(TCP|UDP)(_.*)?)"
)


def load_settings(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Read the configuration.

    Args:
        argv: The flags, without the program's name.
        environ: The process environment, which is searched for names that no setting has.

    Raises:
        ConfigurationError: Settings are wrong; each line says which one, where it was set, and why.
        SystemExit: After `--help` or `--version`.
    """
    flags = vars(_parser().parse_args(argv))
    del flags["check"]
    _refuse_unknown_env(environ)
    file = flags.get("config") or environ.get(f"{ENV_PREFIX}CONFIG")
    if file and not Path(file).is_file():
        raise ConfigurationError(f"config: there is no file {file}")
    try:
        return Settings(**flags)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_lines(error, flags, environ))) from None
    except (OSError, TypeError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigurationError(f"config: {file} is not a YAML file of settings: {_first_line(error)}") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(message)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write the help or the version; argparse itself would say nothing of a disk that is full."""
        try:
            print(message, end="", file=file or sys.stderr, flush=True)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the end of Python would fail too
            raise ConfigurationError(f"the output cannot be written: {error.strerror}") from None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="promedical-serve",
        description="Serve the reward oracle over gRPC and REST.",
        epilog="Every flag is also an environment variable (--rest-port is PROMEDICAL_REST_PORT) and a key of the "
        "--config file. `promedical-serve keys new NAME` makes an API key. Exit codes: 0: it stopped as asked, or "
        "--check found no fault; 1: it could not start, or had to stop; 2: the configuration is wrong; 128 + N: a "
        "second signal, number N, ended it before it had finished.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"promedical {promedical.__version__}")
    parser.add_argument(
        "--check",
        action="store_true",
        help="check the settings, the keys, the rubrics and the TLS files, say what is wrong, and start nothing",
    )
    for name, field in Settings.model_fields.items():
        shown = "" if field.default in {None, False} else f" (default: {field.default})"
        help_text = f"{field.description}{shown}".replace("%", "%%")
        parser.add_argument(_flag(name), dest=name, metavar=_values(field), default=argparse.SUPPRESS, help=help_text)
    return parser


def _values(field: FieldInfo) -> str:
    few = get_args(field.annotation) if get_origin(field.annotation) is Literal else ("VALUE",)
    return "true|false" if field.annotation is bool else "|".join(map(str, few))


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _refuse_unknown_env(environ: Mapping[str, str]) -> None:
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(
        name
        for name, value in environ.items()
        if name.startswith(ENV_PREFIX) and name not in known and not _is_foreign(name, value)
    )
    if unknown:
        raise ConfigurationError("\n".join(f"{name}: no setting has this name; see --help" for name in unknown))


def _is_foreign(name: str, value: str) -> bool:
    return bool(_FOREIGN_ENV.fullmatch(name)) or value.startswith(("tcp://", "udp://"))


def _lines(error: ValidationError, flags: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    """One line per error, each beginning with the setting as the operator wrote it."""
    return [_line(detail["loc"], detail, flags, environ) for detail in error.errors(include_url=False)]


def _line(loc: Sequence[int | str], detail: Mapping[str, Any], flags: Mapping[str, Any], env: Mapping[str, str]) -> str:
    if not loc:
        return str(detail["msg"]).removeprefix("Value error, ")
    name = str(loc[0])
    if detail["type"] == "extra_forbidden":
        return f"{name}: no setting has this name; see --help for the names"
    variable = ENV_PREFIX + name.upper()
    source = _flag(name) if name in flags else variable if env.get(variable) else f"{name} (config file)"
    return f"{source}: {detail['msg']}, not {detail['input']!r}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
