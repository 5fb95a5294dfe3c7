"""The keys file: one key per line, as `name:key`, as `name:sha256:HASH`, or as a JSON object with its rights.

Every line stands for itself: one that cannot be read lets nobody in, and changes nothing for the others. No error
quotes a line, since it may hold a key.
"""

import codecs
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from promedical.plain_json import read_plain_json
from promedical_service.tenancy.keys import read_secret
from promedical_service.tenancy.rates import read_rate
from promedical_service.tenancy.tenant import EVERYTHING, Role, Tenant

_MAX_NAME_CHARS: Final = 128


def _read_time(value: Any) -> Any:
    """A date is its beginning in UTC; a time must say its zone."""
    if not isinstance(value, str):
        raise ValueError("expected text such as 2027-01-31 or 2027-01-31T12:00:00Z")  # noqa: TRY004 - pydantic's
    try:
        read = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError("expected a date such as 2027-01-31 or 2027-01-31T12:00:00Z") from None
    if read.tzinfo is None and len(value.strip()) > len("2027-01-31"):
        raise ValueError("expected a time zone, as in 2027-01-31T12:00:00Z")
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _read_rate(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("expected one rate such as 600/minute")  # noqa: TRY004 - pydantic's
    return read_rate(value)


Rate = Annotated[Any, BeforeValidator(_read_rate)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A line in JSON."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    name: str
    key: str
    roles: Annotated[list[Role], Field(min_length=1)] | None = None
    interactive: bool = True
    requests: Rate = None
    tokens: Rate = None
    queue_share: Annotated[float, Field(gt=0, le=1)] | None = None
    expires: Annotated[datetime | None, BeforeValidator(_read_time)] = None

    def tenant(self) -> Tenant:
        return Tenant(
            name=_read_name(self.name),
            roles=EVERYTHING if self.roles is None else frozenset(self.roles),
            interactive=self.interactive,
            requests=self.requests,
            tokens=self.tokens,
            queue_share=self.queue_share,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One line that can be read."""

    tenant: Tenant
    digest: bytes
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What a keys file holds: the keys, and what is wrong with it, to be put behind the file's name."""

    keys: tuple[Key, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def ends(self) -> Mapping[str, Sequence[float]]:
        """The owners, in order, and the Unix times at which their keys end; infinity for a key that never does."""
        found: dict[str, list[float]] = {}
        for key in self.keys:
            found.setdefault(key.tenant.name, []).append(key.expires.timestamp() if key.expires else math.inf)
        return found


_ENTRY: Final = TypeAdapter(_Entry)


def content_of(file: Path) -> bytes | OSError:
    """What the file holds, or why it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        return error


def read_keys(content: bytes | OSError) -> Keys:
    """Read every line that can be read; a name may have several keys while one replaces another."""
    if isinstance(content, OSError):
        return Keys(faults=(f" cannot be read: {content.strerror}",))
    lines = content.removeprefix(codecs.BOM_UTF8).splitlines()
    keys: dict[bytes, Key] = {}
    faults = []
    for number, line in enumerate(map(bytes.strip, lines), start=1):
        if not line or line.startswith(b"#"):
            continue
        try:
            key = read_line(line.decode())
        except ValueError as error:
            reason = "expected UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            faults.append(f", line {number}: {reason}")
            continue
        if keys.setdefault(key.digest, key) != key:
            faults.append(f", line {number}: the key of an earlier line again, with another name or other rights")
    if not keys and not faults:
        faults.append(" holds no key; add a line `name:key`")
    return Keys(keys=tuple(keys.values()), faults=tuple(faults))


def read_line(line: str) -> Key:
    """One line without white space around it.

    Raises:
        ValueError: It cannot be read.
    """
    if line.startswith("{"):
        return _read_json(line)
    name, colon, secret = (part.strip() for part in line.partition(":"))
    if not colon or not name:
        raise ValueError("expected `name:key`")
    return Key(tenant=Tenant(name=name), digest=read_secret(secret))


def _read_json(line: str) -> Key:
    try:
        read_plain_json(line)  # which refuses what pydantic reads: a field twice
    except (ValueError, RecursionError):
        raise ValueError("expected a JSON object in one line, with each field once") from None
    try:
        entry = _ENTRY.validate_json(line)
    except ValidationError as error:
        raise ValueError("; ".join(_reason(detail) for detail in error.errors(include_url=False))) from None
    return Key(tenant=entry.tenant(), digest=_read_key(entry.key), expires=entry.expires)


def _reason(detail: Any) -> str:
    """The field and what was expected; a field that does not exist may be a key in the wrong place."""
    if detail["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        known = ", ".join(_Entry.__dataclass_fields__)
        return f"holds a field that does not exist; there are {known}"
    field = ".".join(str(part) for part in detail["loc"] if part != "constrained-str")
    return f"{field}: {detail['msg'].removeprefix('Value error, ')}"


def _read_name(name: str) -> str:
    if not name.strip() or len(name) > _MAX_NAME_CHARS or not name.isprintable():
        raise ValueError(f"name: expected 1 to {_MAX_NAME_CHARS} printable characters")
    return name.strip()


def _read_key(text: str) -> bytes:
    try:
        return read_secret(text)
    except ValueError as error:
        raise ValueError(f"key: {error}") from None
