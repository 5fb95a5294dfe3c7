"""The report of a load run: rates, latencies and failures by lane, and how they went over time."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from promedical.messages import ModelInfo
from promedical_bench.loadtest.driver import Plan
from promedical_bench.loadtest.samples import PERCENTILES, LaneSummary, LoadSummary, Sample
from promedical_bench.loadtest.traffic import Shape
from promedical_bench.reports.content import Content, Headline, Table
from promedical_bench.reports.pages import Plot
from promedical_data.measures.figures import COLOURS, GRID, INK, new_figure, plain_axes

_WHO: Final = {"bulk": "bulk (trainers)", "interactive": "interactive (product)"}
_RATES: Final = (
    "Calls that were under way in the measured window are counted. A call adds to a rate in proportion to the share of "
    "its time, without its wait in the queue, that lies in the window. Latencies belong to calls that were due in the "
    "window, and count from the moment when they were due, even if they were sent late. If no call was due in the "
    "window, they belong to the calls under way."
)
_TOO_SHORT: Final = "No call ended within the measured window: it was too short."
_FAILURES: Final = "Calls are tried once; a failure is counted by its code, and its latency is left out."
_LOOKS: Final = {"bulk": 0, "interactive": 1}


def load_content(model: ModelInfo, plan: Plan, summary: LoadSummary) -> Content:
    """The content of the report, without its plots."""
    return Content(
        title="Load",
        subtitle=f"oracle {model.model.name} ({model.status}), engine {model.model.engine} {model.model.dtype}",
        warnings=_warnings(model, summary),
        headlines=_headlines(summary),
        facts=_facts(model, plan, summary),
        main=(_lanes(summary),),
        details=(),
        notes=(_RATES, _FAILURES),
    )


def load_plots(samples: Sequence[Sample], plan: Plan) -> list[Plot]:
    """Latency of every call over time, and its distribution."""
    caption = (
        "Left: each dot is a call, placed at the time when it was due; the warm-up is shaded. Right: the share of "
        "calls that were answered within a latency."
    )
    return [Plot(title="Latency", caption=caption, figure=_latency_figure(samples, plan))]


def _headlines(summary: LoadSummary) -> tuple[Headline, ...]:
    found = [
        Headline(label="scores per second", value=f"{summary.scores_per_s:,.1f}", interval=""),
        Headline(label="tokens per second", value=f"{summary.tokens_per_s:,.0f}", interval=""),
    ]
    for name, lane in summary.lanes.items():
        if "p95" in lane.latency_s:
            found.append(Headline(label=f"{name} p95", value=f"{lane.latency_s['p95']:.2f} s", interval=""))
    return tuple(found)


def _warnings(model: ModelInfo, summary: LoadSummary) -> tuple[str, ...]:
    fake = ["The oracle is the fake engine: its speed says nothing about a model's."] if model.status == "fake" else []
    too_short = [] if summary.ended else [_TOO_SHORT]
    failed = {name: sum(lane.failures.values()) for name, lane in summary.lanes.items()}
    return (*fake, *too_short, *(f"{_WHO[name]}: {count:,} failures." for name, count in failed.items() if count))


def _facts(model: ModelInfo, plan: Plan, summary: LoadSummary) -> tuple[tuple[str, str], ...]:
    return (
        ("oracle", f"{model.model.name}, revision {model.model.revision[:12]}"),
        ("fingerprint", model.model.fingerprint),
        ("engine", f"{model.model.engine}, {model.model.dtype}"),
        ("window", f"{summary.seconds:.0f} s after a warm-up of {plan.warm_up_s:.0f} s"),
        *_traffic(plan),
        ("tokens shared", "-" if summary.reuse is None else f"{summary.reuse:.1f} flat tokens per computed one"),
        ("seed", str(plan.seed)),
    )


def _traffic(plan: Plan) -> list[tuple[str, str]]:
    trainers = ("trainers", f"{plan.trainers}, {plan.prompts} prompts a call, {_shape(plan.group)}")
    product = ("product", f"{plan.rate_per_s:g} arrivals/s, {_shape(plan.single)}")
    return [trainers] * bool(plan.trainers) + [product] * bool(plan.rate_per_s)


def _shape(shape: Shape) -> str:
    sizes = f"{shape.prompt_words} + {shape.response_words} + {shape.criterion_words} words"
    return f"{shape.responses} responses, {shape.criteria} criteria, {sizes}"


def _lanes(summary: LoadSummary) -> Table:
    columns = ("", "calls", "failures", "scores/s", "tokens/s", *(f"p{q} s" for q in PERCENTILES))
    return Table(title="Lanes", columns=columns, rows=tuple(_lane(*each) for each in summary.lanes.items()))


def _lane(name: str, lane: LaneSummary) -> tuple[str, ...]:
    failures = ", ".join(f"{count:,} {code}" for code, count in lane.failures.items()) or "0"
    latencies = (lane.latency_s.get(f"p{q}") for q in PERCENTILES)
    shown = ("-" if value is None else f"{value:.2f}" for value in latencies)
    return _WHO[name], f"{lane.calls:,}", failures, f"{lane.scores_per_s:,.1f}", f"{lane.tokens_per_s:,.0f}", *shown


def _latency_figure(samples: Sequence[Sample], plan: Plan) -> Figure:
    figure = new_figure(width=8.6, height=3.2)
    over_time, share = figure.subplots(1, 2, width_ratios=[1.6, 1])
    over_time.axvspan(0, plan.warm_up_s, color=GRID, alpha=0.5, linewidth=0)
    for name, look in _LOOKS.items():
        found = [each for each in samples if each.lane == name and each.scores]
        if not found:
            continue
        colour = COLOURS[look]
        over_time.scatter([e.due_s for e in found], [e.latency_s for e in found], s=9, color=colour, label=_WHO[name])
        measured = np.sort([e.latency_s for e in found if plan.window.saw(e)])
        share.plot(measured, np.arange(1, len(measured) + 1) / max(len(measured), 1), color=colour)
    over_time.set_xlabel("seconds", color=INK)
    over_time.set_title("Latency in seconds", loc="left", fontsize=10, color=INK)
    share.set_title("Share of calls by latency", loc="left", fontsize=10, color=INK)
    share.set_xlabel("seconds", color=INK)
    share.set_ylim(0, 1.02)
    for axes in (over_time, share):
        axes.set_xlim(left=0)
        plain_axes(axes, grid="y")
    over_time.set_ylim(bottom=0)
    if over_time.get_legend_handles_labels()[0]:  # matplotlib warns about an empty legend
        figure.legend(frameon=False, ncols=2, loc="outside lower center", fontsize=9, labelcolor=INK)
    return figure
