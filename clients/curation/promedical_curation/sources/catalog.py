"""The nine sources of the paper, with their licences, and any other table by a map of its columns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from promedical_curation.errors import CurationError
from promedical_curation.sources import publishers
from promedical_curation.sources.drafts import Draft
from promedical_curation.sources.medquad import medquad, open_medquad
from promedical_curation.sources.tables import Records, Table, open_table
from promedical_data.skips import Refusal

NO_LICENCE: Final = "no licence stated"


def _as_they_are(records: Records) -> Records:
    return records


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A data set: how its files are read, and what its publisher says about its use.

    Attributes:
        name: What its rows are called, and their ids begin with.
        title: Its name for people.
        licence: An SPDX identifier, or `NO_LICENCE`.
        url: Where the publisher gives it out.
        credit: Whom to name.
        expected: What its files look like, for errors.
        parse: One record as a question.
        open: Opens its files.
        records: What the records of a file are, where they are not simply its lines.
    """

    name: str
    title: str
    licence: str
    url: str
    credit: str
    expected: str
    parse: Callable[[Mapping[str, Any]], Draft]
    open: Callable[[Path, str], Table] = open_table
    records: Callable[[Records], Records] = _as_they_are


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where a table holds what a row needs. A dotted name leads into an object or a list: `messages.0.content`."""

    instruction: str
    id: str | None = None
    reference: str | None = None


SOURCES: Final = (
    Source(
        name="medqa",
        title="MedQA",
        licence="MIT",
        url="https://github.com/jind11/MedQA",
        credit="Jin et al. 2021",
        expected="JSON lines with question and options, or with the choices in the question",
        parse=publishers.medqa,
    ),
    Source(
        name="medical-eval-sphere",
        title="Medical-Eval-Sphere",
        licence=NO_LICENCE,
        url="https://huggingface.co/datasets/lavita/medical-eval-sphere",
        credit="Hosseini et al. 2024",
        expected="Parquet with medical_question",
        parse=publishers.eval_sphere,
    ),
    Source(
        name="pubmedqa",
        title="PubMedQA",
        licence="MIT",
        url="https://github.com/pubmedqa/pubmedqa",
        credit="Jin et al. 2019",
        expected="one JSON object of entries with QUESTION by their ids, or a table with question and pubid",
        parse=publishers.pubmedqa,
        records=publishers.by_key,
    ),
    Source(
        name="dahl",
        title="DAHL",
        licence=NO_LICENCE,
        url="https://github.com/seemdog/DAHL",
        credit="Seo et al. 2024",
        expected="CSV with question and category",
        parse=publishers.dahl,
    ),
    Source(
        name="medical-instruction",
        title="Medical-Instruction-120k",
        licence="MIT",
        url="https://huggingface.co/datasets/Mohammed-Altaf/medical-instruction-120k",
        credit="Mohammed Altaf 2023",
        expected="JSON with Conversation, in which turns begin with [|Human|] and [|AI|]",
        parse=publishers.medical_instruction,
    ),
    Source(
        name="medinstruct",
        title="MedInstruct-52k",
        licence="CC-BY-NC-4.0",
        url="https://github.com/XZhang97666/AlpaCare",
        credit="Zhang et al. 2023",
        expected="JSON or JSON lines with instruction and input",
        parse=publishers.medinstruct,
    ),
    Source(
        name="medquad",
        title="MedQuAD",
        licence="CC-BY-4.0",
        url="https://github.com/abachaa/MedQuAD",
        credit="Ben Abacha and Demner-Fushman 2019",
        expected="a folder of XML documents, or a table with question, or Question, and qtype",
        parse=medquad,
        open=open_medquad,
    ),
    Source(
        name="chatdoctor",
        title="ChatDoctor",
        licence="Apache-2.0",
        url="https://github.com/Kent0n-Li/ChatDoctor",
        credit="Li et al. 2023",
        expected="JSON with instruction, input and output",
        parse=publishers.chatdoctor,
    ),
    Source(
        name="medmcqa",
        title="MedMCQA",
        licence="Apache-2.0",
        url="https://github.com/medmcqa/medmcqa",
        credit="Pal et al. 2022",
        expected="JSON lines with question and opa to opd, or with the choices in the question",
        parse=publishers.medmcqa,
        records=publishers.with_answers,
    ),
)


def source_named(name: str) -> Source:
    """One of the nine.

    Raises:
        CurationError: It is none of them.
    """
    for source in SOURCES:
        if source.name == name:
            return source
    known = ", ".join(source.name for source in SOURCES)
    raise CurationError(f"source {name!r} is unknown; expected one of {known}, or a map of columns for another table")


def table_source(name: str, columns: Columns, *, licence: str = NO_LICENCE, url: str = "", credit: str = "") -> Source:
    """Any JSON lines, JSON, CSV or Parquet file as a source."""
    return Source(
        name=name,
        title=name,
        licence=licence,
        url=url,
        credit=credit,
        expected=f"JSON, CSV or Parquet with the column {columns.instruction}",
        parse=lambda record: _mapped(record, columns),
    )


def _mapped(record: Mapping[str, Any], columns: Columns) -> Draft:
    name = _looked_up(record, columns.id)
    if name is not None and (isinstance(name, bool) or not isinstance(name, str | int)):
        raise Refusal(f"{columns.id}: is neither text nor a whole number")
    reference = _looked_up(record, columns.reference)
    if reference is not None and not isinstance(reference, str):
        raise Refusal(f"{columns.reference}: is not text")
    instruction = _looked_up(record, columns.instruction)
    if not isinstance(instruction, str):
        raise Refusal(f"{columns.instruction}: is {'missing' if instruction is None else 'not text'}")
    return Draft(instruction=instruction, origin=None if name is None else str(name) or None, reference=reference)


def _looked_up(record: Mapping[str, Any], column: str | None) -> Any:
    """The value under a name, or under the steps of a dotted one; None if there is none."""
    if column is None or column in record:
        return record.get(column or "")
    value: Any = record
    for step in column.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
