"""One run of `promedical-bench load`: it drives a service, sums up and writes the report."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from promedical.messages import ModelInfo
from promedical_bench.asked import Bar, client_of
from promedical_bench.loadtest.driver import Driver, Plan
from promedical_bench.loadtest.report import load_content, load_plots
from promedical_bench.loadtest.samples import LoadSummary, Sample, summarise
from promedical_bench.reports.content import Content
from promedical_bench.reports.writing import claim_folder, write_report
from promedical_client import AsyncClient, DeadlineError
from promedical_client.address import Address

_ANSWER_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was measured.

    Attributes:
        model: The oracle, as it describes itself.
        plan: The traffic.
        samples: Every call.
        summary: The summary of the window.
    """

    model: ModelInfo
    plan: Plan
    samples: tuple[Sample, ...]
    summary: LoadSummary

    def as_dict(self) -> dict[str, Any]:
        """The result as the JSON file holds it, without the single calls."""
        return {"model": asdict(self.model), "plan": asdict(self.plan), "summary": asdict(self.summary)}


def run_load(address: Address, plan: Plan, output: Path, bar: Bar) -> tuple[Content, LoadSummary]:
    """Load a service and write report.md, report.json and report.html.

    Raises:
        PromedicalError: The service does not say which oracle it is; failures under load are counted instead.
        DataError: The folder cannot be written, which is checked before the load; or a TLS file cannot be read.
    """
    loaded = asyncio.run(drive(address, plan, bar, lambda: claim_folder(output)))
    content = load_content(loaded.model, plan, loaded.summary)
    plots = load_plots(loaded.samples, plan)
    write_report(output, content, plots, loaded.as_dict())
    return content, loaded.summary


async def drive(address: Address, plan: Plan, bar: Bar, before: Callable[[], None] = lambda: None) -> Loaded:
    """Load a service, with one attempt for every call; `before` is called after it answered and before the load.

    Raises:
        PromedicalError: The service does not say which oracle it is.
    """
    async with client_of(address, max_attempts=1) as client:
        model = await _described(client)
        before()
        with bar(f"loading {model.model.name} for {plan.end_s:.0f} s") as on_progress:
            samples = await Driver(client, plan, lambda now: on_progress(int(now), int(plan.end_s))).run()
    return Loaded(model=model, plan=plan, samples=tuple(samples), summary=summarise(samples, plan.window))


async def _described(client: AsyncClient) -> ModelInfo:
    try:
        return await asyncio.wait_for(client.model(), _ANSWER_S)
    except TimeoutError:
        raise DeadlineError(f"the service did not say within {_ANSWER_S:.0f} s which oracle it is") from None
