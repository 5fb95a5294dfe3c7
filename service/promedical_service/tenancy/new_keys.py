"""`promedical-serve keys new`: a new key, shown once, and the line that goes into the keys file.

The key goes to standard error, for the person, and the line to standard output, for `>> keys.txt`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn, get_args

from promedical_service.settings import ConfigurationError
from promedical_service.tenancy.keys import hashed, new_key
from promedical_service.tenancy.keys_file import read_line
from promedical_service.tenancy.tenant import Role

_EPILOG: Final = (
    "The line holds a hash, so only the owner has the key. Example: "
    "promedical-serve keys new trainer --role score --bulk-only --expires 2027-12-31 >> keys.txt"
)


def main(argv: Sequence[str]) -> int:
    """Make a key; returns the exit code.

    Raises:
        ConfigurationError: An argument cannot be used.
        SystemExit: After `--help`.
    """
    asked = _parser().parse_args(argv)
    key = new_key()
    line = _line(asked, hashed(key))
    print(f"The key of {asked.name}, which is shown only now:\n{key}", file=sys.stderr)  # noqa: T201 - for people
    print(line)  # noqa: T201 - for the file
    return 0


def _line(asked: argparse.Namespace, secret: str) -> str:
    """The line, read once to be sure that the service can read it."""
    fields: dict[str, Any] = {
        "name": asked.name,
        "key": secret,
        "roles": asked.role,
        "interactive": False if asked.bulk_only else None,
        "requests": asked.requests,
        "tokens": asked.tokens,
        "queue_share": asked.queue_share,
        "expires": asked.expires,
    }
    line = json.dumps({name: value for name, value in fields.items() if value is not None}, ensure_ascii=False)
    try:
        read_line(line)
    except ValueError as error:
        raise ConfigurationError(f"keys new: {error}") from None
    return line


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"keys: {message}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="promedical-serve keys", description="Make API keys.", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    new = commands.add_parser("new", help="make a key and print its line for the keys file", epilog=_EPILOG)
    new.add_argument("name", metavar="NAME", help="owner of the key, as logs, metrics and audit records call them")
    new.add_argument("--role", action="append", choices=get_args(Role), help="what the key may do; may be repeated")
    new.add_argument("--bulk-only", action="store_true", help="do not let it use the lane interactive")
    new.add_argument("--requests", metavar="RATE", help="requests that it may send, such as 600/minute")
    new.add_argument("--tokens", metavar="RATE", help="unique tokens that it may have scored, such as 1000000/minute")
    new.add_argument("--queue-share", type=float, metavar="SHARE", help="largest part of the queue that it may fill")
    new.add_argument("--expires", metavar="TIME", help="when it ends, such as 2027-12-31 (in UTC)")
    return parser
