"""What a service is asked, and its answers as they are kept: one results file for one oracle and one set of cases."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from promedical_bench.cases import Case
from promedical_bench.scoring.record_file import VERSION, oracle_of, writing
from promedical_bench.scoring.records import Header, Results
from promedical_bench.scoring.runner import Pace, Progress, ask, questions_of
from promedical_client import AsyncClient
from promedical_client.address import Address
from promedical_client.jsonl import InputError
from promedical_data.variants import AS_IS, Variant

Bar: TypeAlias = Callable[[str], AbstractContextManager[Progress]]
"""Shows progress under a title."""

_MAX_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """Cases, and what a results file says about them.

    Attributes:
        task: The name of what is measured.
        cases: The cases.
        path: Where they are from.
        responses_path: The file of answers to judge, if there is one.
        digest: The hash of what they were read from.
        rubric_id: The named rubric for cases without criteria.
        variants: The ways in which they are asked.
    """

    task: str
    cases: Sequence[Case]
    path: Path
    responses_path: Path | None = None
    digest: str
    rubric_id: str
    variants: Sequence[Variant] = (AS_IS,)


async def ask_oracle(inquiry: Inquiry, address: Address, path: Path, *, pace: Pace, bar: Bar) -> Results:
    """Ask what the file does not hold yet.

    Raises:
        PromedicalError: The service cannot be asked; its answers so far are kept.
        ResultsError: The file holds the results of something else.
    """
    async with client_of(address) as client:
        header = await _header(inquiry, client, oracle_of(path))
        with writing(path, header) as writer, bar(f"asking {header.model.model.name}") as on_progress:
            questions = questions_of(inquiry.cases, inquiry.variants)
            await ask(client, questions, writer, pace=pace, on_progress=on_progress)
            return writer.results


def client_of(address: Address, *, max_attempts: int = _MAX_ATTEMPTS) -> AsyncClient:
    """A client for a service.

    Raises:
        InputError: A TLS file cannot be read.
    """
    try:
        return AsyncClient(address, max_attempts=max_attempts)
    except OSError as error:
        raise InputError(str(error)) from None


async def _header(inquiry: Inquiry, client: AsyncClient, oracle: str | None) -> Header:
    model, pin = await client.model(oracle=oracle), None
    if not all(case.criteria for case in inquiry.cases):
        pin = (await client.rubric(inquiry.rubric_id, oracle=model.model.fingerprint)).pin
    return Header(
        promedical_bench=VERSION,
        task=inquiry.task,
        path=str(inquiry.path.resolve()),
        responses_path=str(inquiry.responses_path.resolve()) if inquiry.responses_path else None,
        data=inquiry.digest,
        rubric=pin.name if pin else None,
        model=model,
        rubric_sha256=pin.sha256 if pin else None,
    )
