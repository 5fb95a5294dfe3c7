"""`make curation-samples`: writes the questions that come with the package, from the data of PROMEDICAL_DATA.

A hundred questions of each of three sources whose licences allow it, drawn by the hash of their ids among those that
pass the screens, without PubMedQA's test split. Records are kept as they are, but for fields that no reader needs.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from promedical_curation.rows import Row
from promedical_curation.screening.language import Languages
from promedical_curation.screening.screens import screen
from promedical_curation.sources.catalog import source_named
from promedical_curation.sources.reading import read_sources
from promedical_curation.sources.samples import FILES, FOLDER
from promedical_curation.sources.tables import open_table

EACH: Final = 100
LONGEST_ANSWER: Final = 3000
"""Characters of the longest answer in the sample, which is to stay small."""
KEPT: Final = ("QUESTION", "LONG_ANSWER", "final_decision", "YEAR", "MESHES")


def main() -> int:
    """Write the three files."""
    if "PROMEDICAL_DATA" not in os.environ:
        sys.exit("set PROMEDICAL_DATA to the folder that holds sources/")
    data = Path(os.environ["PROMEDICAL_DATA"]) / "sources"
    medmcqa = _records(data / "medmcqa" / "dev.jsonl")
    medquad = _records(data / "medquad" / "medquad.jsonl.gz")
    pubmedqa = json.loads((data / "pubmedqa" / "data" / "ori_pqal.json").read_text(encoding="utf-8"))
    test = json.loads((data / "pubmedqa" / "data" / "test_ground_truth.json").read_text(encoding="utf-8"))
    training = {name: entry for name, entry in pubmedqa.items() if name not in test}
    FOLDER.mkdir(exist_ok=True)
    _write("medmcqa", "".join(map(_line, _drawn("medmcqa", {str(row["id"]): row for row in medmcqa}).values())))
    by_name = {f"{row['folder']}/{row['id']}": row for row in medquad if len(row["answer"]) <= LONGEST_ANSWER}
    _write("medquad", "".join(map(_line, _drawn("medquad", by_name).values())))
    entries = {name: {key: row[key] for key in KEPT} for name, row in _drawn("pubmedqa", training).items()}
    _write("pubmedqa", json.dumps(entries, indent=0, ensure_ascii=False) + "\n")
    rows = read_sources([(source_named(name), FOLDER / file) for name, file in FILES.items()]).rows
    print(f"{len(rows)} questions in {FOLDER}")
    return 0


def _drawn(name: str, records: Mapping[str, Any]) -> dict[str, Any]:
    """The first records, by the hash of their ids, that pass the screens."""
    ordered = sorted(records, key=lambda key: hashlib.sha256(f"{name}:{key}".encode()).digest())
    languages, drawn = Languages(), {}
    for key in ordered:
        draft = source_named(name).parse({**records[key], "id": key})
        row = Row(id=key, source=name, origin=key, licence="", instruction=draft.instruction, reference=draft.reference)
        if draft.reference and list(screen([row], languages)) == [row]:
            drawn[key] = records[key]
        if len(drawn) == EACH:
            break
    return drawn


def _records(path: Path) -> list[dict[str, Any]]:
    return [record for _, record in open_table(path, "JSON lines").records]


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _write(name: str, text: str) -> None:
    (FOLDER / FILES[name]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
