"""MedQuAD: folders of XML documents, each with the questions about one focus, or one of the tables made from them."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from promedical_curation.errors import CurationError
from promedical_curation.sources.drafts import Draft, optional, text, topic
from promedical_curation.sources.tables import Table, open_table
from promedical_data.formats.lines import NotJson

_XML: Final = ".xml"


def open_medquad(path: Path, expected: str) -> Table:
    """A folder of the publisher's XML files, one of them, or a table.

    Raises:
        CurationError: A table cannot be read, or a folder holds no XML file. A broken document is a broken record.
    """
    if not path.is_dir() and path.suffix.lower() != _XML:
        return open_table(path, expected)
    documents = sorted(path.rglob(f"*{_XML}")) if path.is_dir() else [path]
    if not documents:
        raise CurationError(f"{path}: holds no {_XML} file; expected {expected}")
    root = path if path.is_dir() else path.parent
    try:
        digest = hashlib.sha256(b"".join(document.read_bytes() for document in documents)).hexdigest()
    except OSError as error:
        raise CurationError(f"{path}: cannot be read: {error.strerror}; expected {expected}") from None
    return Table(sha256=digest, records=_records(root, documents))


def medquad(record: Mapping[str, Any]) -> Draft:
    """One question. The publisher gives the same id to questions of different folders, so the folder is part of it.

    Raises:
        Refusal: The record lacks a field.
    """
    if "question" not in record and "Question" in record:  # the table on the hub: qtype, Question, Answer
        return Draft(
            instruction=text(record, "Question"),
            reference=optional(record, "Answer"),
            topic=topic(record, "qtype"),
        )
    folder, name = optional(record, "folder"), optional(record, "id")
    return Draft(
        instruction=text(record, "question"),
        origin="/".join(part for part in (folder, name) if part) or None,
        reference=optional(record, "answer"),
        topic=topic(record, "focus", "qtype", "url"),
    )


def _records(root: Path, documents: list[Path]) -> Iterator[tuple[str, Any]]:
    for document in documents:
        place = document.relative_to(root).as_posix()
        try:
            tree = fromstring(document.read_bytes())
        except (ParseError, DefusedXmlException, OSError) as error:
            yield place, NotJson(reason=f"is not XML ({type(error).__name__})")
            continue
        shared = {"folder": document.parent.name, "focus": tree.findtext("Focus"), "url": tree.get("url")}
        for pair in tree.iter("QAPair"):
            question = pair.find("Question")
            asked = {} if question is None else {"question": question.text, **question.attrib}
            yield (
                f"{place}, question {pair.get('pid')}",
                {**shared, **asked, "id": asked.get("qid"), "answer": pair.findtext("Answer")},
            )
