"""The options that commands share; the address of a service is the same five in every command of ProMedical."""

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from promedical.messages import RubricPin, WeightsSpec
from promedical.pins import read_pins
from promedical.rubric import InvalidField
from promedical_client.address import DEFAULT_URL, ENVIRONMENT, Address

Command = Callable[..., None]


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSONL = "jsonl"


class Cut(StrEnum):
    """Which part of a text that is too long may be cut."""

    NONE = "none"
    RESPONSE_END = "response_end"
    PROMPT_START = "prompt_start"


class Lane(StrEnum):
    """Which queue of the service."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class Mode(StrEnum):
    """What counts in S1."""

    HARD = "hard"
    SOFT = "soft"


TimeoutS = Annotated[float, typer.Option(min=0.001, help="Seconds for the whole command, including retries.")]
CallTimeoutS = Annotated[
    float,
    typer.Option(
        min=0.001,
        help="Seconds for one call, including retries. A job makes as many calls as it takes, and cuts them so that "
        "each ends well before this.",
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=COLUMN",
        help="Which column holds what, such as prompt=question; NAME is id, prompt, response (once per column), "
        "responses, criteria, rubric, rubric_id or base_rubric_id. Repeatable.",
    ),
]
Details = Annotated[bool, typer.Option("--details", help="Show every criterion of every response in tables.")]
RubricId = Annotated[str | None, typer.Option(help="Judge by this named rubric, instead of the criteria in the input.")]
BaseRubricId = Annotated[str | None, typer.Option(help="Add the criteria of this named rubric.")]
UnscoredReward = Annotated[
    float | None,
    typer.Option(help="Reward to record for a response that cannot be scored; its error repeats the number."),
]
ExpectedFingerprint = Annotated[str | None, typer.Option(help="Fail if the oracle has another fingerprint.")]
ExpectedRubrics = Annotated[
    list[str] | None,
    typer.Option(
        "--expected-rubric",
        metavar="NAME=SHA256",
        help="Fail if a named rubric has another hash, or one is used that is not listed; give this once per rubric.",
    ),
]
Priority = Annotated[
    Lane | None, typer.Option(help="Lane in the queue. Default: interactive for one item, bulk for more.")
]
Truncation = Annotated[Cut, typer.Option(help="Which part of a text that is too long may be cut.")]
Output = Annotated[Format, typer.Option("--format", help="How to print results.")]


def pins_of(given: list[str] | None) -> tuple[RubricPin, ...]:
    """The rubrics that the options name.

    Raises:
        InputError: One of them cannot be read.
    """
    try:
        return tuple(pin for text in given or () for pin in read_pins(text, "--expected-rubric"))
    except InvalidField as error:
        from promedical_client.jsonl import InputError  # noqa: PLC0415 - see `session.opened`

        raise InputError(str(error)) from None


def takes_address(
    option: str = "url", *, whose: str = "service", default: Any = DEFAULT_URL
) -> Callable[[Command], Command]:
    """Replace a command's parameter `address` by five options, and pass the `Address` that they make.

    Typer reads options from a function's signature, so the command that Typer sees has a signature of its own.

    Args:
        option: The name of the option for the URL.
        whose: What the URL leads to, for `--help`.
        default: The URL if the option is left out; `inspect.Parameter.empty` if it must be given.
    """
    options = [_option(option, str, f"grpc://HOST:PORT, grpcs://, http:// or https:// of the {whose}.", default)]
    options += [_option(name, kind, text, None) for name, (kind, text) in _ACCESS.items()]
    return _replacing("address", options, lambda given: _address({"url": given.pop(option), **given}))


def takes_reward() -> Callable[[Command], Command]:
    """Replace a command's parameter `reward` by the options of the reward, passed as `Client.score` takes them."""
    unscored = Parameter("unscored_reward", Parameter.KEYWORD_ONLY, default=None, annotation=UnscoredReward)

    def made(given: dict[str, Any]) -> dict[str, Any]:
        reward = given.pop("unscored_reward")
        return {"reward_weights": WeightsSpec(**_given(given)), "unscored_reward": reward}

    return _replacing("reward", [*_weights(), unscored], made)


def takes_weights() -> Callable[[Command], Command]:
    """Replace a command's parameter `weights` by one option per constant of the reward, and pass those given."""
    return _replacing("weights", _weights(), _given)


def _weights() -> list[Parameter]:
    annotations = {name: Annotated[kind | None, typer.Option(help=text)] for name, (kind, text) in _WEIGHTS.items()}
    return [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=each) for name, each in annotations.items()
    ]


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _replacing(
    parameter: str, options: list[Parameter], made: Callable[[dict[str, Any]], Any]
) -> Callable[[Command], Command]:
    """Replace a command's parameter by options, and pass what is made of their values."""

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def with_options(**given: Any) -> None:
            values = {option.name: given.pop(option.name) for option in options}
            command(**{parameter: made(values)}, **given)

        signature = inspect.signature(command)
        parameters = [
            each for one in signature.parameters.values() for each in (options if one.name == parameter else [one])
        ]
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return with_options

    return decorated


_ACCESS: Final[dict[str, tuple[Any, str]]] = {
    "api_key": (str | None, "API key, if the service needs one."),
    "ca_file": (Path | None, "PEM file of the authorities to trust for TLS."),
    "cert_file": (Path | None, "PEM file of this client's certificate, for mutual TLS."),
    "key_file": (Path | None, "PEM file of the certificate's key."),
}

_WEIGHTS: Final[dict[str, tuple[Any, str]]] = {
    "proficiency_mode": (Mode, "What counts in S1: criteria met (hard), or their probabilities (soft). Default: hard."),
    "excellence_weight": (float, "alpha: what one bonus criterion adds, above 0 and below 1. Default: 0.1."),
    "excellence_cap": (float, "beta: how far bonuses may lift the reward over 1, above 0. Default: 0.2."),
    "violation_penalty": (float, "lambda: what one violation costs, at least 1 + beta. Default: 1.5."),
}


def _option(name: str, kind: Any, text: str, default: Any) -> Parameter:
    field = name if name in ENVIRONMENT else "url"
    annotation = Annotated[kind, typer.Option(envvar=ENVIRONMENT[field], help=text)]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _address(fields: dict[str, Any]) -> Address:
    try:
        return Address(**fields)
    except ValueError as error:
        from promedical_client.jsonl import InputError  # noqa: PLC0415 - see `session.opened`

        raise InputError(str(error)) from None
