"""The oracle of a run: it is asked once at the start, recorded, and stays the same until the end.

`oracle.json` in the run's folder pins the fingerprint, and the hash of every rubric that can be named. Every call names
them, so that the service itself refuses to answer as another; a run that resumes refuses another oracle.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from promedical.messages import RubricPin, WeightsSpec
from promedical_client import Client, PromedicalError
from promedical_client.address import Address
from promedical_client.integrations import Grader
from promedical_data.files import write_atomically
from promedical_trainer.grpo.recipe import Oracle

_PIN: Final = "oracle.json"
_AS_LONG_AS_IT_TAKES: Final = 1_000
"""Attempts of one call: the time limit ends it."""


class OracleError(Exception):
    """This run cannot use the oracle. The message says why, and what to do."""


class OracleUnreachableError(Exception):
    """Nobody answers. The message says where; the same command resumes later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Which oracle a run learns from.

    Attributes:
        fingerprint: A hash of everything that decides a score.
        name: The model's name.
        revision: The model's revision.
        engine: The engine that computes.
        status: "trained", "untrained" or "fake".
        rubrics: The hash of every rubric that the service had when the run began, by `id@version`; none if the run or
            the service is older than this field.
    """

    fingerprint: str
    name: str
    revision: str
    engine: str
    status: str
    rubrics: dict[str, str] = field(default_factory=dict)


def pin_oracle(folder: Path, address: Address, settings: Oracle, *, allow_fake: bool = False) -> Pin:
    """Ask the oracle who it is, and check that the run started with it.

    Raises:
        OracleError: It is another oracle, runs the fake engine, or refuses this client.
        OracleUnreachableError: Nobody answered in time.
    """
    path = folder / _PIN
    began = Pin(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
    asked = began.fingerprint if began else None
    pin = introduced(address, settings, allow_fake=allow_fake, fingerprint=asked)
    if began is None:
        write_atomically(path, json.dumps(asdict(pin), indent=1) + "\n")
        return pin
    if began.fingerprint != pin.fingerprint:
        raise OracleError(
            f"oracle {address.url}: is {_described(pin)}, but this run began with {_described(began)}; rewards of two "
            "oracles cannot be compared: serve that one again, or give another --output"
        )
    _check_rubrics(address, pin.rubrics, began.rubrics)
    return replace(pin, rubrics=began.rubrics)


def grader_of(address: Address, settings: Oracle, pin: Pin) -> Grader:
    """Grades for this run, by its oracle only."""
    return Grader(
        address,
        expected_fingerprint=pin.fingerprint,
        expected_rubrics=[RubricPin(name=name, sha256=sha256) for name, sha256 in pin.rubrics.items()],
        truncation=settings.truncation,
        thoughts=settings.thoughts,
        reward_weights=WeightsSpec.of(settings.reward_weights),
        timeout_s=settings.timeout_s,
        max_attempts=_AS_LONG_AS_IT_TAKES,
    )


def introduced(address: Address, settings: Oracle, *, allow_fake: bool = False, fingerprint: str | None = None) -> Pin:
    """Ask the oracle who it is; where a gateway has several, the one with this fingerprint.

    Raises:
        OracleError: It runs the fake engine, or refuses this client.
        OracleUnreachableError: Nobody answered in time.
    """
    pin = _asked(address, settings, fingerprint)
    if pin.status == "fake" and not allow_fake:
        raise OracleError(
            f"oracle {address.url}: is the fake engine, whose numbers are a hash of the text; serve a model "
            "(promedical-serve --model ...), or give --allow-fake to see that a run works"
        )
    return pin


def _asked(address: Address, settings: Oracle, fingerprint: str | None) -> Pin:
    try:
        with Client(address, timeout_s=settings.start_timeout_s, max_attempts=_AS_LONG_AS_IT_TAKES) as client:
            info = client.model(oracle=fingerprint)
    except PromedicalError as error:
        if error.retryable or error.code == "deadline":
            raise OracleUnreachableError(
                f"oracle {address.url}: cannot be reached within {settings.start_timeout_s:g} s ({error}); "
                "start it or correct --oracle, then run the same command again"
            ) from error
        raise OracleError(f"oracle {address.url}: {error}") from error
    except OSError as error:
        raise OracleError(f"oracle {address.url}: {error}") from error
    ref = info.model
    return Pin(
        fingerprint=ref.fingerprint,
        name=ref.name,
        revision=ref.revision,
        engine=ref.engine,
        status=info.status,
        rubrics={each.name: each.sha256 for each in info.rubrics},
    )


def _check_rubrics(address: Address, found: Mapping[str, str], began: Mapping[str, str]) -> None:
    """Refuse new content under an old name. Rubrics that came or went do not matter to a run that does not name them.

    Raises:
        OracleError: A rubric is not the one that the run began with.
    """
    for name in sorted(began.keys() & found.keys()):
        if began[name] != found[name]:
            raise OracleError(
                f"oracle {address.url}: its rubric {name} has the hash {found[name]}, but this run began with "
                f"{began[name]}; rewards of two rubrics cannot be compared: serve that one again and give the new one "
                "a version of its own, or give another --output"
            )


def _described(pin: Pin) -> str:
    return f"{pin.name}, fingerprint {pin.fingerprint} ({pin.engine}, {pin.status})"
