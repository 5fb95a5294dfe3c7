"""Conversions for tests, without a command line."""

from contextlib import nullcontext
from pathlib import Path

import published
from promedical_data.conversion.convert import AUTO, Conversion, convert
from promedical_data.conversion.report import ConversionReport
from promedical_data.conversion.sinks import sink
from promedical_data.labelled import LabelledPrompt
from promedical_data.reading import read


def silent(_: str):
    return nullcontext(lambda *_: None)


def converted(to: Path, *inputs: Path, publisher: str = AUTO, **more) -> ConversionReport:
    conversion = Conversion(inputs=inputs, publisher=publisher, **more)
    with sink(to) as put:
        return convert(conversion, put, to, silent)


def prompts_of(folder: Path, name: str, content=None, **more) -> tuple[LabelledPrompt, ...]:
    """What is read from the conversion of a publisher's file, which is given its prompts if it needs them."""
    source = published.written(folder / "in", name, content)
    converted(folder / "out.jsonl", source, **{**published.given(folder / "given", name), **more})
    return read(folder / "out.jsonl", responses_needed=False).prompts
