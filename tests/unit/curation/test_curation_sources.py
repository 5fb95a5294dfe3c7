"""The readers: every publisher's format, any other table, and files that are broken."""

import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical_curation.errors import CurationError
from promedical_curation.sources.catalog import NO_LICENCE, SOURCES, Columns, source_named, table_source
from promedical_curation.sources.reading import STAGE, read_sources
from promedical_curation.sources.samples import FILES, FOLDER, sample_inputs

DATA = Path(os.environ.get("PROMEDICAL_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")) / "sources"
REAL = (
    ("medqa", "medqa/test.jsonl", 1273),
    ("medmcqa", "medmcqa/dev.jsonl", 4183),
    ("pubmedqa", "pubmedqa/data/ori_pqal.json", 1000),
    ("dahl", "dahl/questions.csv", 8573),
    ("medquad", "medquad/medquad.jsonl.gz", 15848),
    ("chatdoctor", "chatdoctor/chatdoctor5k.json", 5452),
    ("medinstruct", "medinstruct/MedInstruct-test.jsonl", 216),
    ("medinstruct", "medinstruct/med_seed.json", 167),
)
MCQ = "Which?\nAnswer Choices: (A) red (B) blue"
TALK = "The conversation between human and AI assistant.\n[|Human|] Is it?\n[|AI|] It is.\n[|Human|] Sure?"
FORMATS = [
    ("medqa", {"question": "Which?", "options": {"A": "red", "B": "blue"}, "answer": "blue"}, MCQ, "blue"),
    ("medqa", {"id": "t1", "question": MCQ, "label": ["B"]}, MCQ, "blue"),
    ("medmcqa", {"id": "m1", "question": MCQ, "label": ["A"], "label_rationale": "Why."}, MCQ, "red\n\nWhy."),
    ("pubmedqa", {"pubid": 7, "question": "Is it?", "long_answer": "Yes."}, "Is it?", "Yes."),
    ("dahl", {"question": "Explain it.", "category": "x"}, "Explain it.", None),
    ("medinstruct", {"instruction": "Sum up.", "input": "Long.", "output": "Short."}, "Sum up.\n\nLong.", "Short."),
    ("medinstruct", {"instruction": "Explain it.", "input": "<noinput>"}, "Explain it.", None),
    ("chatdoctor", {"instruction": "If you are a doctor", "input": "I cough.", "output": "Rest."}, "I cough.", "Rest."),
    ("medquad", {"qtype": "causes", "Question": "What causes it ?", "Answer": "This."}, "What causes it ?", "This."),
    ("medquad", {"id": "1-1", "folder": "f", "question": "What ?", "answer": "This."}, "What ?", "This."),
    ("medical-eval-sphere", {"medical_question": "Is it?", "response_a": "Yes."}, "Is it?", None),
    ("medical-instruction", {"Conversation": TALK}, "Is it?", "It is."),
]


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def lines(path, *records):
    return write(path, "\n".join(map(json.dumps, records)))


@pytest.mark.parametrize(("name", "record", "instruction", "reference"), FORMATS, ids=range(len(FORMATS)))
def test_source_reads_its_publishers_records(tmp_path, name, record, instruction, reference):
    (row,) = read_sources([(source_named(name), lines(tmp_path / "file.jsonl", record))]).rows
    assert (row.instruction, row.reference) == (instruction, reference)
    assert (row.source, row.licence) == (name, source_named(name).licence)
    assert row.notes[STAGE]["place"] == "line 1"


@pytest.mark.parametrize(("first", "right"), [(1, "blue"), (0, "blue")], ids=["publisher", "hub"])
def test_medmcqa_counts_choices_as_its_file_does(tmp_path, first, right):
    choices = {"opa": "red", "opb": "blue", "opc": "green", "opd": "grey"}
    records = [{"id": f"q{n}", "question": "Which?", "cop": first + n, "exp": None, **choices} for n in range(4)]
    rows = read_sources([(source_named("medmcqa"), lines(tmp_path / "file.json", *records))]).rows
    assert [row.reference for row in rows] == ["red", right, "green", "grey"]


def test_medmcqa_gives_no_choice_where_the_file_does_not_tell_how_it_counts(tmp_path):
    record = {"question": "Which?", "cop": 2, "exp": "Since.", "opa": "a", "opb": "b", "opc": "c", "opd": "d"}
    (row,) = read_sources([(source_named("medmcqa"), lines(tmp_path / "file.json", record))]).rows
    assert row.reference == "Since."


def test_pubmedqa_reads_one_object_of_entries(tmp_path):
    entries = {
        "11": {"QUESTION": "Is it?", "LONG_ANSWER": "No.", "final_decision": "no"},
        "12": {"QUESTION": "Does it?"},
    }
    rows = read_sources([(source_named("pubmedqa"), write(tmp_path / "ori_pqal.json", json.dumps(entries)))]).rows
    assert [(row.id, row.instruction) for row in rows] == [("pubmedqa:11", "Is it?"), ("pubmedqa:12", "Does it?")]


def test_medquad_reads_folders_of_xml_and_counts_broken_documents(tmp_path):
    asked = '<Question qid="1-1" qtype="causes">What causes gout ?</Question>'
    pair = f'<QAPair pid="1">{asked}<Answer>Salts.</Answer></QAPair>'
    (tmp_path / "1_A").mkdir()
    document = f'<Document id="1" url="u"><Focus>Gout</Focus><QAPairs>{pair}</QAPairs></Document>'
    write(tmp_path / "1_A" / "1.xml", document)
    write(tmp_path / "1_A" / "2.xml", document[:50])
    write(tmp_path / "1_A" / "3.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    reading = read_sources([(source_named("medquad"), tmp_path)])
    assert [(row.id, row.instruction, row.reference) for row in reading.rows] == [
        ("medquad:1_A/1-1", "What causes gout ?", "Salts.")
    ]
    assert reading.rows[0].notes[STAGE]["focus"] == "Gout"
    assert (reading.files[0].records, sum(each.count for each in reading.files[0].skipped)) == (3, 2)


TABLE = [{"q": "What?", "n": 1, "a": "This."}, {"q": "Why?", "n": 2, "a": None}]
WRITERS = {
    "lines.jsonl": lambda path: lines(path, *TABLE),
    "array.json": lambda path: write(path, json.dumps(TABLE)),
    "object.json": lambda path: write(path, json.dumps({"data": TABLE})),
    "mark.jsonl": lambda path: write(path, "\n".join(map(json.dumps, TABLE)), "utf-8-sig"),
    "wide.jsonl": lambda path: write(path, "\n".join(map(json.dumps, TABLE)), "utf-16"),
    "table.csv": lambda path: write(path, "q,n,a\nWhat?,1,This.\nWhy?,2,\n"),
    "zipped.csv.gz": lambda path: path.write_bytes(gzip.compress(b"q,n,a\nWhat?,1,This.\nWhy?,2,\n")) and path,
    "table.parquet": lambda path: pq.write_table(pa.Table.from_pylist(TABLE), path) or path,
}


@pytest.mark.parametrize("name", WRITERS)
def test_table_reads_any_format_with_a_map_of_columns(tmp_path, name):
    source = table_source("mine", Columns(instruction="q", id="n", reference="a"), licence="CC0-1.0")
    rows = read_sources([(source, WRITERS[name](tmp_path / name))]).rows
    assert [(row.id, row.instruction, row.licence) for row in rows] == [
        ("mine:1", "What?", "CC0-1.0"),
        ("mine:2", "Why?", "CC0-1.0"),
    ]
    assert [row.reference or None for row in rows] == ["This.", None]


def test_columns_lead_into_objects_and_lists(tmp_path):
    source = table_source("mine", Columns(instruction="turns.0.value"))
    path = lines(tmp_path / "a.jsonl", {"turns": [{"value": "What?"}]}, {"turns": []}, {"turns": [{"value": 5}]})
    reading = read_sources([(source, path)])
    assert [row.instruction for row in reading.rows] == ["What?"]
    assert {each.reason for each in reading.files[0].skipped} == {
        "turns.0.value: is missing",
        "turns.0.value: is not text",
    }


BROKEN = {
    "wrong columns": ("a.csv", b"text,label\nWhat?,1\n", "question: is missing"),
    "not a file": ("missing.csv", None, "cannot be read"),
    "Latin-1": ("a.csv", "question\nWas hei\u00dft das?\n".encode("latin-1"), "is not UTF-8; save it as UTF-8"),
    "UTF-16 without a mark": ("a.jsonl", '{"question": "a"}'.encode("utf-16-le"), "UTF-16 without a byte order mark"),
    "cut gzip": ("a.csv.gz", gzip.compress(b"question\nWhat?\n")[:20], "is not a whole gzip file"),
    "cut JSON": ("a.json", b'[{"question": "Wh', "is not JSON"),
    "cut Parquet": ("a.parquet", b"PAR1 and no more", "is not a whole Parquet file"),
    "zip": ("a.csv", b"PK\x03\x04....", "is a zip archive"),
    "empty": ("a.csv", b"", "the file is empty"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_cannot_be_used_has_a_clear_error(tmp_path, case):
    name, content, said = BROKEN[case]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CurationError, match=name) as raised:
        read_sources([(source_named("dahl"), tmp_path / name)])
    assert said in str(raised.value)
    assert any(advice in str(raised.value) for advice in ("expected", "save it as", "fix it"))


def test_a_bad_record_is_counted_and_the_others_are_read(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"question": "What?"}\n{"question": 5}\nnonsense\n["x"]\n{"question": ""}\n')
    reading = read_sources([(source_named("dahl"), path)])
    (report,) = reading.files
    assert [row.instruction for row in reading.rows] == ["What?", ""]
    assert report.records == 5 == report.rows + sum(each.count for each in report.skipped)
    assert ("question: is not text", ("line 2",)) in {(each.reason, each.first) for each in report.skipped}


def test_source_named_lists_the_known_ones():
    with pytest.raises(CurationError, match=r"'medqua' is unknown; expected one of medqa, .*medquad"):
        source_named("medqua")


def test_sources_are_the_nine_of_the_paper():
    assert len({source.name for source in SOURCES}) == 9
    assert all(source.licence and source.url and source.credit for source in SOURCES)


ITEMS = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["x?", "y?"])), min_size=1, max_size=8)


@given(items=ITEMS, data=st.data())
def test_ids_are_unique_and_the_same_in_any_order(tmp_path_factory, items, data):
    folder = tmp_path_factory.mktemp("ids")
    source = table_source("s", Columns(instruction="q", id="n"))
    read = {}
    for name, order in (("one", items), ("other", data.draw(st.permutations(items)))):
        path = lines(folder / f"{name}.jsonl", *({"n": n, "q": q} for n, q in order))
        read[name] = {(row.id, row.instruction) for row in read_sources([(source, path)]).rows}
    assert read["one"] == read["other"]
    assert len(read["one"]) == len(items)


def test_samples_come_with_the_package_and_with_their_licences():
    rows = read_sources(sample_inputs()).rows
    assert Counter((row.source, row.licence) for row in rows) == {
        ("medmcqa", "Apache-2.0"): 100,
        ("pubmedqa", "MIT"): 100,
        ("medquad", "CC-BY-4.0"): 100,
    }
    assert all(row.reference for row in rows)
    notice = (FOLDER / "NOTICE.md").read_text(encoding="utf-8")
    assert all(f"| {file} |" in notice for file in FILES.values())


@pytest.mark.parametrize(("name", "file", "count"), REAL, ids=[file for _, file, _ in REAL])
def test_real_files_are_read_whole(name, file, count):
    if not (DATA / file).exists():
        pytest.skip(f"{DATA / file} is absent; set PROMEDICAL_DATA to the folder that holds sources/")
    reading = read_sources([(source_named(name), DATA / file)])
    assert len({row.id for row in reading.rows}) == len(reading.rows) == count
    assert reading.files[0].skipped == ()
    assert source_named("dahl").licence == NO_LICENCE
