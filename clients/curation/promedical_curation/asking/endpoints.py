"""The endpoint file: for every role, which model answers it, where, and what its server can do.

A key never stands in the file: `key_env` names the environment variable that holds it.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from promedical_curation.asking.requests import Message, Request
from promedical_curation.errors import CurationError
from promedical_data.plain_yaml import RepeatedKeyError, read_plain_yaml

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STRICT: Final = ConfigDict(extra="forbid", strict=True)
_LIKE_KEYS: Final = ("api_key", "key", "token", "secret", "password")


@checked_dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Prices:
    """US dollars for a million tokens. 0 for a server of one's own."""

    input: float
    output: float

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ValueError: A price is below 0 or not finite.
        """
        if not all(0 <= price < math.inf for price in (self.input, self.output)):
            raise ValueError("expected finite prices, 0 or more")


@checked_dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Endpoint:
    """One model on one server.

    Attributes:
        base_url: Where the server's API begins, such as `http://127.0.0.1:8000/v1`.
        model: The model's name there.
        key_env: The environment variable that holds the key; None if the server needs none.
        output: How the server can be held to a schema: by the schema, to some JSON object, or not at all. Where it is
            not by the schema, the schema stands in the prompt.
        logprobs: Whether answers may carry log probabilities.
        seed: Whether the server takes a seed, so that it answers the same request alike.
        reasoning_field: The field of the answer's message that holds the reasoning, such as `reasoning_content`.
        max_tokens_field: How the server calls the most tokens of an answer.
        parameters: Parameters of sampling for all requests; a stage's own come first.
        prices: What tokens cost. Without it the price list of genai-prices is asked.
        max_in_flight: The most calls at the same time.
        timeout_s: The most seconds for one call, from its first byte to its last.
        name: The role, and a number where a role has several; not in the file.
    """

    base_url: str
    model: str
    key_env: str | None = None
    output: Literal["json_schema", "json_object", "none"] = "json_schema"
    logprobs: bool = False
    seed: bool = False
    reasoning_field: str | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    prices: Prices | None = None
    max_in_flight: int = 32
    timeout_s: float = 300.0
    name: str = ""

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ValueError: A value cannot be used. The message never quotes what may hold a key.
        """
        _check_url(self.base_url)
        if not self.model:
            raise ValueError("model is empty: expected the model's name on the server")
        if self.key_env is not None and not _VARIABLE.fullmatch(self.key_env):
            raise ValueError("key_env must be the name of an environment variable, such as OPENAI_API_KEY, not a key")
        if self.max_in_flight < 1:
            raise ValueError(f"max_in_flight is {self.max_in_flight}: expected 1 or more")
        if not 0 < self.timeout_s < math.inf:
            raise ValueError(f"timeout_s is {self.timeout_s}: expected seconds above 0")
        if reserved := sorted({"model", "messages", "max_tokens", "response_format", "stream"} & set(self.parameters)):
            raise ValueError(f"parameters has {reserved[0]}, which the requests set themselves; leave it out")

    @property
    def pace_key(self) -> tuple[str, str]:
        """Endpoints with the same key share a server's limits."""
        return self.base_url.rstrip("/"), self.model

    def key(self) -> str | None:
        """The key for the server.

        Raises:
            CurationError: The variable is not set.
        """
        if self.key_env is None:
            return None
        if not (found := os.environ.get(self.key_env, "").strip()):
            raise CurationError(
                f"endpoint {self.name}: the environment variable {self.key_env} is not set; set it to the key for "
                f"{self.base_url}, or remove key_env if the server needs none"
            )
        if not found.isascii() or not found.isprintable():
            raise CurationError(f"endpoint {self.name}: {self.key_env} holds characters that no key has; set it again")
        return found

    def request(
        self,
        *messages: Message,
        prompt_version: str,
        max_tokens: int,
        schema: Mapping[str, Any] | None = None,
        sample: int = 0,
        **parameters: Any,
    ) -> Request:
        """A request to this endpoint's model."""
        return Request(
            to=self.name,
            model=self.model,
            messages=messages,
            max_tokens=max_tokens,
            parameters={**self.parameters, **parameters},
            schema=schema,
            sample=sample,
            prompt_version=prompt_version,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The endpoints of all roles, and the file that they come from."""

    roles: Mapping[str, tuple[Endpoint, ...]]
    path: str

    def one(self, role: str) -> Endpoint:
        """The only endpoint of a role.

        Raises:
            CurationError: The role has none, or several.
        """
        found = self.all(role)
        if len(found) != 1:
            raise CurationError(f"{self.path}: role {role} has {len(found)} endpoints; expected one")
        return found[0]

    def all(self, role: str) -> tuple[Endpoint, ...]:
        """The endpoints of a role.

        Raises:
            CurationError: It has none.
        """
        if role not in self.roles:
            known = ", ".join(sorted(self.roles)) or "none"
            raise CurationError(f"{self.path}: names no endpoint for the role {role}; its roles are {known}")
        return self.roles[role]

    def by_name(self) -> dict[str, Endpoint]:
        """All endpoints by their names."""
        return {each.name: each for role in self.roles.values() for each in role}


def read_endpoints(path: Path) -> Endpoints:
    """Read an endpoint file.

    Raises:
        CurationError: It cannot be read, is not YAML, or a field is wrong.
    """
    tree = _read_yaml(path)
    roles = tree.get("endpoints") if isinstance(tree, dict) else None
    if not isinstance(roles, dict) or not roles or set(tree) != {"endpoints"}:
        raise CurationError(f"{path}: expected one mapping named endpoints, from roles to their endpoints")
    return Endpoints(roles={str(role): _role(str(role), each, path) for role, each in roles.items()}, path=str(path))


def _role(role: str, tree: Any, path: Path) -> tuple[Endpoint, ...]:
    several = tree if isinstance(tree, list) else [tree]
    if not several:
        raise CurationError(f"{path}: role {role} is an empty list; expected at least one endpoint")
    names = [f"{role}/{number}" for number in range(1, len(several) + 1)] if isinstance(tree, list) else [role]
    return tuple(_endpoint(name, each, path) for name, each in zip(names, several, strict=True))


def _endpoint(name: str, tree: Any, path: Path) -> Endpoint:
    if not isinstance(tree, dict):
        raise CurationError(f"{path}: endpoint {name} is not a mapping; expected base_url, model and so on")
    if found := next((each for each in _LIKE_KEYS if each in tree), None):
        raise CurationError(
            f"{path}: endpoint {name} has {found}; a key never stands in this file: name the environment variable that "
            "holds it by key_env"
        )
    if "name" in tree:
        raise CurationError(f"{path}: endpoint {name}: name is not a setting; the role is the name")
    try:
        return TypeAdapter(Endpoint).validate_json(json.dumps({**tree, "name": name}, default=str))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        said = problem["msg"].removeprefix("Value error, ")
        raise CurationError(f"{path}: endpoint {name}: {where + ': ' if where else ''}{said}") from None


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known, parts = False, urlsplit("")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("base_url holds more than an address; a key belongs into the variable that key_env names")
    if not known:
        raise ValueError(f"base_url is {url!r}: expected an address such as http://127.0.0.1:8000/v1")


def _read_yaml(path: Path) -> Any:
    try:
        return read_plain_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CurationError(f"{path}: cannot be read: {error.strerror}; expected an endpoint file in YAML") from None
    except UnicodeDecodeError:
        raise CurationError(f"{path}: is not UTF-8; expected an endpoint file in YAML") from None
    except (RepeatedKeyError, RecursionError) as error:
        raise CurationError(f"{path}: {error}; correct the endpoint file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        said = getattr(error, "problem", None) or "it cannot be parsed"
        raise CurationError(f"{path}: is not YAML{where}: {said}") from None
