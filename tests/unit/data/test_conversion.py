"""Conversions as a whole: detection, large files, Parquet, errors, reports, and that nothing half done is left."""

import gzip
import json
import os
import sqlite3
import subprocess
import sys

import pyarrow as pa
import pytest
from converting import converted, silent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from test_data_writing import prompts as made_prompts

import published
from promedical_data.conversion import rows as conversion_rows
from promedical_data.conversion.convert import Conversion, convert, first_of
from promedical_data.conversion.report import as_json, as_markdown
from promedical_data.conversion.sinks import sink
from promedical_data.conversion.spool import spooled
from promedical_data.errors import DataError
from promedical_data.reading import read
from promedical_data.writing import write

ENDINGS = ("jsonl", "jsonl.gz", "parquet")


def lines(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize("name", sorted(published.FILES))
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_reads_back_the_same(tmp_path, name, ending):
    more = published.given(tmp_path / "given", name)
    source = published.written(tmp_path / "in", name)
    converted(tmp_path / "plain.jsonl", source, **more)
    converted(tmp_path / f"out.{ending}", source, **more)
    expected = read(tmp_path / "plain.jsonl", responses_needed=False)
    found = read(tmp_path / f"out.{ending}", responses_needed=False)
    assert found.prompts == expected.prompts
    assert found.report.skipped == expected.report.skipped


@pytest.mark.parametrize("ending", ENDINGS)
def test_converting_again_gives_the_same_bytes(tmp_path, ending):
    source = published.written(tmp_path, "simple-evals")
    for name in ("one", "two"):
        converted(tmp_path / f"{name}.{ending}", source)
    assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()


@pytest.mark.parametrize("file_format", ["criteria", "pairs"])
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_and_converted_to_parquet_and_back_is_what_it_was(tmp_path, file_format, data):
    made = data.draw(made_prompts(file_format))
    write([made], tmp_path / "a.jsonl", file_format)
    converted(tmp_path / "b.parquet", tmp_path / "a.jsonl")
    converted(tmp_path / "c.jsonl", tmp_path / "b.parquet")
    before = read(tmp_path / "a.jsonl", responses_needed=False).prompts
    assert read(tmp_path / "b.parquet", responses_needed=False).prompts == before
    assert read(tmp_path / "c.jsonl", responses_needed=False).prompts == before


@pytest.mark.parametrize("kind", ["plain", "gzip", "bom", "utf-16", "array", "data", "parquet"])
def test_container_of_the_rows_makes_no_difference(tmp_path, kind):
    rows = [published.RAR, {**published.RAR, "question": "Another one?"}]
    path = tmp_path / ("rows.parquet" if kind == "parquet" else "rows.jsonl")
    text = lines(*rows)
    content = {
        "plain": text.encode(),
        "gzip": gzip.compress(text.encode()),
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "utf-16": text.encode("utf-16"),
        "array": json.dumps(rows, indent=1).encode(),
        "data": json.dumps({"data": rows}).encode(),
        "parquet": b"",
    }[kind]
    path.write_bytes(content)
    if kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    report = converted(tmp_path / "out.jsonl", path)
    assert (report.prompts, report.criteria, report.inputs[0].rows) == (2, 10, 2)


@pytest.fixture
def all_is_large(monkeypatch):
    """Every file counts as large, as if it had more than 32 MiB."""
    monkeypatch.setattr(conversion_rows, "SMALL", 16)


@pytest.mark.parametrize("name", sorted(set(published.FILES) - {"llmeval-med", "pancanbench"}))
def test_large_file_gives_what_a_small_one_gives(tmp_path, name, monkeypatch):
    source = published.written(tmp_path / "in", name)
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".jsonl":
        source.write_text(text * 2, encoding="utf-8")  # so that the first line is not all of it
    more = published.given(tmp_path / "given", name)
    if more:
        converted(tmp_path / "given.jsonl", more["prompts"])
        more["prompts"] = tmp_path / "given.jsonl"
        more["prompts"].write_text(more["prompts"].read_text(encoding="utf-8") * 2, encoding="utf-8")
    converted(tmp_path / "small.jsonl", source, **more)
    longest = max(len(line) for path in (source, *more.values()) for line in path.read_bytes().splitlines())
    monkeypatch.setattr(conversion_rows, "SMALL", longest + 1)
    converted(tmp_path / "large.jsonl", source, **more)
    assert (tmp_path / "large.jsonl").read_text() == (tmp_path / "small.jsonl").read_text()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('[{"a": NaN, "secret text": 1}]', "is not JSON in UTF-8: lexical error: invalid char in json text."),
        ('[{"question": "q", "rubric": []}, {"quest', "is not JSON in UTF-8: "),
        ('{\n "questions": [\n  {"question_number":\n 1}]}', "is neither JSON lines nor a JSON array"),
    ],
)
@pytest.mark.usefixtures("all_is_large")
def test_large_file_that_is_broken_is_named_without_its_text(tmp_path, content, reason):
    path = tmp_path / "rows.json"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        converted(tmp_path / "out.jsonl", path, publisher="rar")
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)


def test_large_lines_that_are_broken_are_left_out_with_their_numbers(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    path.write_text("{broken\n\n" + lines(published.RAR) + "[1]\n")
    monkeypatch.setattr(conversion_rows, "SMALL", len(lines(published.RAR)) + 12)
    report = converted(tmp_path / "out.jsonl", path)
    assert (report.inputs[0].rows, report.inputs[0].left_out) == (3, 2)
    places = {entry.first for entry in report.inputs[0].skipped if entry.part == "row"}
    assert places == {("line 1",), ("line 4",)}


def test_memory_does_not_grow_with_the_file(tmp_path):
    """In a process of its own, on files of 10,000 and 40,000 rows: half of 30,000 rows would be 30 MiB."""
    peaks = [peak_of(tmp_path, rows) for rows in (10_000, 40_000)]
    assert peaks[1] - peaks[0] < 15 << 20


def peak_of(folder, rows):
    path = folder / f"{rows}.parquet"
    table = [
        {"harmful_medical_request": f"{n} " + "r" * 500, "safe_response": f"{n} " + "s" * 1500} for n in range(rows)
    ]
    parquet.write_table(pa.Table.from_pylist(table), path, row_group_size=1000)
    program = (
        "import re, sys; from pathlib import Path; from converting import converted;"
        "converted(Path(sys.argv[2]), Path(sys.argv[1]));"
        "print(re.search('VmHWM:[^0-9]*([0-9]+)', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path, folder / f"{rows}.jsonl"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return int(done.stdout) << 10


def test_files_are_read_as_what_most_of_their_first_rows_are(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(published.RAR, {"other": 1}, {**published.RAR, "question": "Another?"}))
    report = converted(tmp_path / "out.jsonl", path)
    assert (report.inputs[0].publisher, report.inputs[0].left_out) == ("rar", 1)
    assert "lacks question, rubric" in {entry.reason for entry in report.inputs[0].skipped}


def test_files_of_no_known_format_are_refused_by_their_keys(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(lines({"instruction": "q", "output": "a"}))
    with pytest.raises(
        DataError, match="is in no known format: line 1 has the keys instruction, output; name the format"
    ):
        converted(tmp_path / "out.jsonl", path)


def test_rows_that_fit_several_formats_are_refused_with_their_names(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(lines({**published.RAR, **published.PANCANBENCH["questions"][0]}))
    with pytest.raises(
        DataError, match="its rows fit several formats: rar, pancanbench; choose one of them with --from"
    ):
        converted(tmp_path / "out.jsonl", path)
    assert converted(tmp_path / "out.jsonl", path, publisher="rar").prompts == 1


def test_wrong_format_is_refused_with_what_is_missing_and_what_it_looks_like(tmp_path):
    path = published.written(tmp_path, "kqa")
    with pytest.raises(DataError) as caught:
        converted(tmp_path / "out.jsonl", path, publisher="rar")
    assert str(caught.value) == (
        f"{path}: is not in the format rar: line 1 lacks question, rubric; has the keys Question, "
        "Free_form_answer, Must_have, Nice_to_have, ICD_10_diag; it looks like kqa"
    )


def test_unknown_format_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(DataError, match="format 'hb' is unknown; the formats are auto, healthbench, "):
        converted(tmp_path / "out.jsonl", published.written(tmp_path, "kqa"), publisher="hb")


def test_unknown_column_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(DataError, match="format argilla has no column 'question' to be named; it has prompt, response"):
        converted(tmp_path / "out.jsonl", published.written(tmp_path, "argilla"), columns={"question": "q"})
    with pytest.raises(DataError, match="format kqa has no column 'question' to be named; its keys have fixed names"):
        converted(tmp_path / "out.jsonl", published.written(tmp_path, "kqa"), columns={"question": "q"})


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("rows.jsonl.gz", gzip.compress(lines(published.RAR).encode(), mtime=0)[:-12], "is not a whole gzip"),
        ("rows.jsonl", b"", "is in no known format: it is empty"),
        ("rows.jsonl", b"not json", "is in no known format: it holds no JSON object"),
        ("rows.jsonl", b"[1, 2]", "is in no known format: it holds no JSON object"),
        ("rows.parquet", b"PAR1 and no more", "is not a whole Parquet file"),
        ("rows.jsonl", b"PK\x03\x04 zip", "is a zip archive"),
        ("rows.csv", b'question,rubric\n"a', "is in no known format"),
        ("rows.csv", b"question,rubric\n\xff\xfe,x", "is not UTF-8"),
        ("rows.jsonl", b"\xff\xfe\x00", "is not UTF-8"),
    ],
)
def test_file_that_is_broken_is_refused_and_nothing_is_written(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason):
        converted(tmp_path / "out.jsonl", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_file_that_is_absent_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"absent.jsonl: cannot be read: No such file or directory"):
        converted(tmp_path / "out.jsonl", tmp_path / "absent.jsonl")


def test_gzip_that_breaks_off_in_the_middle_leaves_the_old_result(tmp_path):
    rows = [{**published.RAR, "question": f"Question {number}?"} for number in range(200)]
    whole = gzip.compress(lines(*rows).encode())
    (tmp_path / "rows.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "out.jsonl").write_text("old")
    with pytest.raises(DataError, match="it is not a whole gzip file"):
        converted(tmp_path / "out.jsonl", tmp_path / "rows.jsonl.gz")
    assert (tmp_path / "out.jsonl").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


def test_row_with_a_wrong_column_is_left_out_with_row_and_column(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(published.RAR, {**published.RAR, "question": 7}))
    report = converted(tmp_path / "out.jsonl", path)
    (entry,) = [each for each in report.inputs[0].skipped if each.part == "row"]
    assert (entry.reason, entry.first) == ("question: Input should be a valid string", ("line 2",))


def test_record_of_csv_with_too_many_fields_is_left_out(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("harmful_medical_request,safe_response\nHow, exactly?,No.\nHow?,No.\n")
    report = converted(tmp_path / "out.jsonl", path)
    (entry,) = report.inputs[0].skipped
    assert (report.prompts, entry.reason, entry.first) == (1, "has more fields than the header", ("record 1",))


def test_rows_with_one_id_are_left_out_but_for_the_first(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(published.RAR, published.RAR))
    report = converted(tmp_path / "out.jsonl", path)
    assert report.prompts == 1
    assert ("row", "id: is the same as that of an earlier row") in {
        (e.part, e.reason) for e in report.inputs[0].skipped
    }


def test_pairs_with_one_id_in_two_files_are_left_out_but_for_the_first(tmp_path):
    files = [published.written(tmp_path / name, "ultramedical") for name in ("a", "b")]
    report = converted(tmp_path / "out.jsonl", *files)
    assert [each.left_out for each in report.inputs] == [0, 1]


def test_rows_of_two_formats_are_refused(tmp_path):
    files = [published.written(tmp_path, "rar"), published.written(tmp_path, "ultramedical")]
    with pytest.raises(
        DataError, match="give rows of two formats, criteria and pairs; convert them one after the other"
    ):
        converted(tmp_path / "out.jsonl", *files)
    assert not (tmp_path / "out.jsonl").exists()


def test_file_of_which_nothing_is_left_is_refused_with_the_reasons(tmp_path):
    path = published.written(tmp_path, "rar", [{**published.RAR, "rubric": []}])
    with pytest.raises(
        DataError, match=r"holds no row that can be used; row: criteria: none is left .* \(1, first line 1\)"
    ):
        converted(tmp_path / "out.jsonl", path)
    assert not (tmp_path / "out.jsonl").exists()


def test_pairs_cannot_be_prompts_for_answers(tmp_path):
    given_prompts = published.written(tmp_path / "given", "pairs")
    with pytest.raises(DataError, match="holds pairs, which cannot take other responses"):
        converted(tmp_path / "out.jsonl", published.written(tmp_path, "openai-batch"), prompts=given_prompts)


@pytest.mark.parametrize("name", ["out.json", "out.csv", "out", "out.parquet.gz"])
def test_result_of_another_ending_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=r"must end in .jsonl, .jsonl.gz or .parquet"):
        converted(tmp_path / name, published.written(tmp_path, "kqa"))


def test_source_and_licence_are_those_that_the_user_names(tmp_path):
    converted(tmp_path / "out.jsonl", published.written(tmp_path, "kqa"), source="mine", licence="CC BY 4.0")
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert (row["source"], row["licence"]) == ("mine", "CC BY 4.0")


def test_report_counts_every_row_and_names_its_file_by_hash(tmp_path):
    path = published.written(tmp_path, "llmeval-med")
    report = converted(tmp_path / "out.jsonl", path)
    (read_from,) = report.inputs
    assert (read_from.rows, read_from.left_out, report.prompts) == (4, 1, 3)
    assert (
        read_from.sha256 == subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout[:64]
    )
    page, data = as_markdown(report), json.loads(as_json(report))
    assert "| rows left out | 1 |" in page
    assert "| row | checklist: is missing, and sanswer is none | 1 | 医疗知识 3 |" in page
    assert data["inputs"][0]["skipped"][0]["first"] == ["医疗知识 3"]


def test_report_names_up_to_a_thousand_places_and_counts_all(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(published.RAR) + "{}\n" * 1500)
    report = converted(tmp_path / "out.jsonl", path, publisher="rar")
    entry = next(each for each in report.inputs[0].skipped if each.part == "row")
    assert (entry.count, len(entry.first), entry.first[-1]) == (1500, 1000, "line 1001")
    assert "line 21; and 1,480 more" in as_markdown(report)


def test_report_never_holds_text_of_a_row(tmp_path):
    rows = [{**published.RAR, "question": "SECRET question"}, {**published.RAR, "question": ["SECRET"]}]
    report = converted(tmp_path / "out.jsonl", published.written(tmp_path, "rar", rows))
    assert "SECRET" not in as_markdown(report) + as_json(report)


def test_first_row_is_shown_without_reading_on(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(published.RAR) + "{}\n" * 30)
    piece = first_of(Conversion(inputs=(path,)), silent)
    assert piece.row["id"].startswith("rar:")


def test_progress_moves_with_the_bytes_of_the_file(tmp_path):
    path = published.written(tmp_path, "rar", [{**published.RAR, "question": f"{n}?"} for n in range(50)])
    seen = []

    class Bar:
        def __enter__(self):
            return lambda done, total: seen.append((done, total))

        def __exit__(self, *_):
            return None

    with sink(tmp_path / "out.jsonl") as put:
        convert(Conversion(inputs=(path,)), put, tmp_path / "out.jsonl", lambda _: Bar())
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


def test_full_disk_is_an_error_of_one_line():
    with pytest.raises(DataError, match="cannot keep what belongs together: database or disk is full"), spooled():
        raise sqlite3.OperationalError("database or disk is full")
