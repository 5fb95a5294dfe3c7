"""Generated parts of docs/reference/grpc.md: the methods, messages and enums of reward.proto with their comments."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scripts.docs.tables import cell, table

PROTO: Final = Path(__file__).resolve().parents[2] / "proto" / "promedical" / "v1" / "reward.proto"
DECLARATION = re.compile(r"(?P<kind>message|enum|service) (?P<name>\w+) \{(?P<empty>\})?")
ONEOF = re.compile(r"\s+oneof (?P<name>\w+) \{")
METHOD = re.compile(r"\s+rpc (?P<name>\w+)\((?P<asked>\w+)\) returns \((?P<answered>\w+)\);")
FIELD = re.compile(r"\s+(?:(?P<label>repeated|optional) )?(?P<type>[\w.]+) (?P<name>\w+) = (?P<number>\d+);")
VALUE = re.compile(r"\s+(?P<name>[A-Z_0-9]+) = (?P<number>\d+);")
NAME: Final = re.compile(r"[A-Z]\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A message, an enum or a service, with one table row per member."""

    kind: str
    name: str
    comment: str
    rows: list[str] = field(default_factory=list)


def grpc_methods() -> str:
    """The service's methods."""
    (service,) = (each for each in declarations() if each.kind == "service")
    return table("| method | request | answer | meaning |", service.rows)


def grpc_messages() -> str:
    """Every message in the order of the file, then every enum."""
    found = list(declarations())
    messages = [_section(each, "| field | type | number | meaning |") for each in found if each.kind == "message"]
    enums = [_section(each, "| value | number | meaning |") for each in found if each.kind == "enum"]
    return "\n".join([*messages, *enums])


def declarations() -> Iterator[Declaration]:
    """The declarations of the proto file, with their comments."""
    current: Declaration | None = None
    oneof, comments = "", list[str]()
    for line in PROTO.read_text(encoding="utf-8").splitlines():
        if line.strip().startswith("//"):
            comments.append(line.strip().removeprefix("//").strip())
            continue
        if opened := DECLARATION.match(line):
            current = Declaration(kind=opened["kind"], name=opened["name"], comment=" ".join(comments))
            yield current
        elif opened := ONEOF.match(line):
            oneof = opened["name"]
        elif line.strip() == "}":
            oneof = ""
        elif current is not None and (row := _row(line, oneof, comments)):
            current.rows.append(row)
        comments = []


def _row(line: str, oneof: str, comments: Sequence[str]) -> str | None:
    """The table row of a method, an enum's value or a field."""
    meaning = cell(" ".join(comments))
    if method := METHOD.match(line):
        return f"| `{method['name']}` | {_linked(method['asked'])} | {_linked(method['answered'])} | {meaning} |"
    if value := VALUE.match(line):
        return f"| `{value['name']}` | {value['number']} | {meaning} |"
    if found := FIELD.match(line):
        label = f"one of `{oneof}`, " if oneof else f"{found['label']} " if found["label"] else ""
        return f"| `{found['name']}` | {label}{_linked(found['type'])} | {found['number']} | {meaning} |"
    return None


def _section(declaration: Declaration, head: str) -> str:
    rows = table(head, declaration.rows) if declaration.rows else "It has no fields.\n"
    return f"### {declaration.name}\n\n{declaration.comment}\n\n{rows}"


def _linked(kind: str) -> str:
    return f"[{kind}](#{kind.lower()})" if NAME.fullmatch(kind) else kind
