"""Which stages run, in what a run's folder holds, and what is refused; without a model."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

import curating
from promedical_curation.errors import CurationError, TooManyFailedError
from promedical_curation.pipeline.manifest import read_manifest
from promedical_curation.pipeline.row_files import FAILED, ROWS, SCHEMAS, RowFile, records
from promedical_curation.pipeline.run_folder import open_run, states
from promedical_curation.pipeline.running import Wishes
from promedical_curation.pipeline.stages import RowStage, TableStage, fingerprint
from promedical_curation.rows import Drop, Failed, Row

ASKED = curating.endpoint("http://127.0.0.1:9/v1")


def noting(name: str, value: str = "x", ran: list[str] | None = None) -> RowStage:
    """Asks nothing, notes a value, and says that it ran."""

    def decide(row, replies):
        if ran is not None:
            ran.append(name)
        return row.noted(name, value)

    return RowStage(name=name, config={"value": value}, ask=lambda row: (), decide=decide)


def line(ran: list[str], **values: str):
    return [curating.source(curating.rows(1)), *(noting(name, values.get(name, "x"), ran) for name in ("a", "b", "c"))]


def run(folder: Path, stages, **options):
    return curating.run_line(folder, stages, ASKED, **options)


def test_stages_that_are_up_to_date_do_not_run_again(tmp_path):
    ran: list[str] = []
    run(tmp_path, line(ran))
    run(tmp_path, line(ran))
    assert ran == ["a", "b", "c"]


@pytest.mark.parametrize(("changed", "expected"), [("a", ["a", "b", "c"]), ("b", ["b", "c"]), ("c", ["c"])])
def test_changed_stage_and_all_after_it_run_again_and_no_other(tmp_path, changed, expected):
    ran: list[str] = []
    run(tmp_path, line(ran))
    ran.clear()
    run(tmp_path, line(ran, **{changed: "y"}), accept_changes=True)
    assert ran == expected


def test_change_is_refused_with_the_difference_and_changes_nothing(tmp_path):
    run(tmp_path, line([]))
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(CurationError, match=r"b: config.value was x and is now y\nName another folder, or give"):
        run(tmp_path, line([], b="y"))
    assert (tmp_path / "run.json").read_bytes() == before


def test_other_stages_and_another_store_are_refused_with_the_difference(tmp_path):
    stages = line([])
    run(tmp_path / "run", stages)
    with pytest.raises(CurationError, match="stages were given, a, b, c and are now given, a, c"):
        run(tmp_path / "run", [stages[0], stages[1], stages[3]])
    with (
        pytest.raises(CurationError, match=r"store was answers.sqlite and is now sqlite:///other.sqlite"),
        open_run(tmp_path / "run", stages, store="sqlite:///other.sqlite"),
    ):
        pass


def test_model_parameters_and_code_are_part_of_the_fingerprint_and_comments_are_not():
    word = curating.word_stage(ASKED)
    other = curating.word_stage(curating.endpoint("http://127.0.0.1:9/v1", model="other", parameters={"top_p": 0.5}))
    assert fingerprint(word)["model.word"] == "smollm2"
    assert fingerprint(other)["parameters.word"] == '{"top_p":0.5}'
    with_json = replace(word, code=(json,))
    assert fingerprint(with_json)["code"] != fingerprint(word)["code"]


def test_changed_code_is_noticed_and_a_changed_comment_is_not(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def code(name: str, value: str, comment: str) -> str:
        """The fingerprint of a module of a user's own, once it was imported."""
        text = f'"""{comment}"""\n# {comment}\ndef decide(row, replies):\n    return row.noted("own", {value})\n'
        (tmp_path / f"{name}.py").write_text(text)
        module = importlib.import_module(name)
        return fingerprint(RowStage(name="own", ask=module.decide, decide=module.decide))["code"]

    first, commented, changed = code("own_a", "1", ""), code("own_b", "1", "Better."), code("own_c", "2", "")
    assert first == commented != changed


def test_one_stage_runs_alone_and_what_follows_is_out_of_date(tmp_path):
    ran: list[str] = []
    run(tmp_path, line(ran))
    ran.clear()
    stages = line(ran, a="y")
    found = run(tmp_path, stages, accept_changes=True, wishes=Wishes(only="a"))
    assert ran == ["a"]
    assert [state.why for state in found.states()] == [
        None,
        None,
        "a stage before it has changed",
        "a stage before it has changed",
    ]


def test_stage_whose_input_is_out_of_date_does_not_run_alone(tmp_path):
    run(tmp_path, line([]))
    with pytest.raises(CurationError, match=r"stage c needs stage a, which is out of date \(config.value was x"):
        run(tmp_path, line([], a="y"), accept_changes=True, wishes=Wishes(only="c"))
    with pytest.raises(CurationError, match="stage d: is not one of given, a, b, c"):
        run(tmp_path, line([]), accept_changes=True, wishes=Wishes(only="d"))


def test_rows_that_were_changed_by_another_hand_are_not_read(tmp_path):
    found = run(tmp_path, line([]))
    path = found.folder("a") / ROWS
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CurationError, match="is not the file that stage a wrote; run it again with --stage a --again"):
        run(tmp_path, line([], b="y"), accept_changes=True)
    run(tmp_path, line([]), wishes=Wishes(only="a", again=True), accept_changes=True)
    run(tmp_path, line([]))


@pytest.mark.parametrize("name", ["run.json", "stages/a/manifest.json"])
@pytest.mark.parametrize(
    "text", ["", "{}", "[1", '{"promedical_curation": 9}'], ids=["empty", "object", "cut", "version"]
)
def test_broken_files_of_a_run_are_named(tmp_path, name, text):
    run(tmp_path, line([]))
    (tmp_path / name).write_text(text)
    with pytest.raises(CurationError, match=rf"{Path(name).name}: (is broken|has format)"):
        run(tmp_path, line([]))


def test_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(CurationError, match="is not empty and holds no run; name another folder"):
        run(tmp_path, line([]))
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_row_that_a_stage_cannot_handle_fails_alone_without_its_text(tmp_path):
    def decide(row, replies):
        if row.id == "r0001":
            raise ValueError(row.instruction)
        return row

    broken = RowStage(name="broken", ask=lambda row: (), decide=decide)
    found = run(tmp_path, [curating.source(curating.rows(3)), broken])
    (failed,) = records(found.folder("broken") / FAILED, SCHEMAS[FAILED])
    assert (failed["error"], failed["message"]) == ("stage_error", "stage broken cannot handle this row: ValueError")
    assert [row.id for row in found.rows("broken")] == ["r0000", "r0002"]


def test_too_many_failures_stop_the_line_before_the_next_stage(tmp_path):
    ran: list[str] = []

    def decide(row, replies):
        return Failed(row=row, error="odd", message="m") if row.id == "r0000" else row

    failing = RowStage(name="failing", ask=lambda row: (), decide=decide)
    stages = [curating.source(curating.rows(10)), failing, noting("after", ran=ran)]
    for _ in range(2):
        with pytest.raises(TooManyFailedError, match=r"1 of 10 rows failed, a share of 0.100, above the 0.05"):
            run(tmp_path, stages, wishes=Wishes(max_failed=0.05))
    assert ran == []
    run(tmp_path, stages, wishes=Wishes(max_failed=0.1))
    assert len(ran) == 9


@pytest.mark.parametrize(
    ("decide", "message"),
    [
        (lambda rows: list(rows)[1:], "did not decide about 1 rows, such as r0000"),
        (lambda rows: [*rows, *rows], "decided about row r0000 twice, or it never came in"),
        (lambda rows: [curating.row("x", id="new")], "decided about row new twice, or it never came in"),
    ],
    ids=["lost", "twice", "new"],
)
def test_table_stage_decides_about_every_row_once(tmp_path, decide, message):
    table = TableStage(name="table", decide=decide)
    with pytest.raises(CurationError, match=message):
        run(tmp_path, [curating.source(curating.rows(3)), table])
    assert read_manifest(tmp_path / "stages" / "table") is None


def test_row_with_an_id_that_was_there_fails(tmp_path):
    given = [*curating.rows(2), curating.row("again", id="r0001")]
    found = run(tmp_path, [curating.source(given)])
    assert read_manifest(found.folder("given")).failed == {"duplicate_id": 1}
    assert len(found.rows("given")) == 2


def test_rows_survive_their_file(tmp_path):
    odd = [
        curating.row("NUL \0 and 中文\n", id="1", reference=None, notes={"a": {"b": [1, 0.5, None, "é"]}}),
        curating.row("half a pair \ud83d", id="2", reference="", notes={}),
    ]
    found = run(tmp_path, [curating.source(odd)])
    first, second = found.rows("given")
    assert first == odd[0]
    assert second.instruction == "half a pair ?"


def test_outcomes_keep_the_order_of_the_rows_across_batches(tmp_path):
    many = curating.rows(1234)

    def decide(row, replies):
        return Drop(row=row, reason="odd", note={"id": row.id}) if int(row.id[1:]) % 2 else row

    found = run(tmp_path, [curating.source(many), RowStage(name="half", ask=lambda row: (), decide=decide)])
    assert [row.id for row in found.rows("half")] == [row.id for row in many[::2]]
    assert read_manifest(found.folder("half")).dropped == {"odd": 617}


def test_parquet_without_a_column_and_file_that_is_none_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": ["1"], "question": ["x"]}), tmp_path / "other.parquet")
    (tmp_path / "none.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(
        CurationError, match="lacks the column source; expected a file of this command, with id, source"
    ):
        list(RowFile(tmp_path / "other.parquet"))
    with pytest.raises(CurationError, match="cannot be read as Parquet"):
        list(RowFile(tmp_path / "none.parquet"))


def test_states_of_a_run_can_be_read_without_its_code(tmp_path):
    found = run(tmp_path, line([]))
    assert [state.why for state in states(tmp_path, found.fingerprints)] == [None] * 4


def test_row_is_kept_as_a_value():
    row = curating.row("x")
    assert row.noted("a", 1) == replace(row, notes={"a": 1})
    assert isinstance(row, Row)
