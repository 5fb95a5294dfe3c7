"""Reading labelled data: what is good is kept, what is bad is left out, counted and placed, and no text leaks."""

import gzip
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promedical.rubric import Dimension, Polarity
from promedical_data.errors import DataError
from promedical_data.labelled import Label, Preference
from promedical_data.reading import ReadResult, detect_format, read
from promedical_data.report import FileFormat, as_dict
from promedical_data.skips import Part

CANARY = "PATIENT-CANARY"
Row = dict[str, Any]
Change = Callable[[Row], object]


def criteria_row(**changes: Any) -> Row:
    return {
        "id": "p1",
        "source": "clinic",
        "prompt": f"user: {CANARY} one\n\nassistant: {CANARY} two\n\nuser: {CANARY} three",
        "criteria": [
            {
                "id": "c1",
                "text": f"Names it {CANARY}.",
                "dimension": "proficiency",
                "polarity": "positive",
                "points": 7,
            },
            {"id": "c2", "text": f"Denies it {CANARY}.", "dimension": "safety", "polarity": "negative", "points": -9.0},
        ],
        "responses": [
            {"id": "r1", "text": f"{CANARY} a", "labels": {"c1": {"met": 1, "kind": "llm", "raters": ["gpt"]}}},
            {"id": "r2", "text": f"{CANARY} b", "labels": {"c2": {"met": 0, "kind": "llm"}}},
        ],
    } | changes


def pairs_row(**changes: Any) -> Row:
    return {
        "id": "p1",
        "prompt": [{"role": "user", "content": f"{CANARY} one"}],
        "chosen": f"{CANARY} good",
        "rejected": f"{CANARY} bad",
        "criteria": [
            {"id": "c1", "text": f"Names it {CANARY}.", "dimension": "proficiency"},
            {"id": "c2", "text": f"Denies it {CANARY}.", "dimension": "safety"},
        ],
    } | changes


def healthbench_row(**changes: Any) -> Row:
    return {
        "prompt_id": "p1",
        "prompt": [{"role": "user", "content": f"{CANARY} one"}],
        "rubrics": [
            {"criterion": f"Names it {CANARY}.", "points": 7, "tags": ["level:example", "axis:accuracy"]},
            {"criterion": f"Denies it {CANARY}.", "points": -9},
        ],
        "responses": [
            {"id": "a", "text": f"{CANARY} a", "grades": [{"criteria_met": True}, {"criteria_met": False}]},
            {"text": f"{CANARY} b", "grades": [{"criteria_met": False, "explanation": CANARY}, {"criteria_met": True}]},
        ],
    } | changes


MAKERS: dict[FileFormat, Callable[..., Row]] = {
    "criteria": criteria_row,
    "pairs": pairs_row,
    "healthbench": healthbench_row,
}
each_format = pytest.mark.parametrize("file_format", list(MAKERS))


def written(folder: Path, *rows: Row | str | bytes) -> Path:
    path = folder / "data.jsonl"
    lines = [
        row if isinstance(row, bytes) else (row if isinstance(row, str) else json.dumps(row)).encode() for row in rows
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def skipped(result: ReadResult) -> list[tuple[Part, str, tuple[str, ...]]]:
    return [(entry.part, entry.reason, entry.first) for entry in result.report.skipped]


def changed(row: Row, change: Change) -> Row:
    change(row)
    return row


def set_in(*path: Any) -> Change:
    """Put the last of `path` at the rest of it."""

    def change(row: Any) -> None:
        for key in path[:-2]:
            row = row[key]
        row[path[-2]] = path[-1]

    return change


# ---- good rows ----


def test_read_criteria_gives_turns_criteria_and_labels(tmp_path):
    (prompt,) = read(written(tmp_path, criteria_row())).prompts

    assert [turn.role for turn in prompt.turns] == ["user", "assistant", "user"]
    assert [(c.id, c.dimension, c.polarity, c.weight) for c in prompt.criteria] == [
        ("c1", Dimension.PROFICIENCY, Polarity.POSITIVE, 7),
        ("c2", Dimension.SAFETY, Polarity.NEGATIVE, None),
    ]
    assert prompt.source == "clinic"
    assert prompt.responses[0].labels == {"c1": Label(met=True, kind="llm", votes=(True,))}
    assert prompt.responses[1].labels == {"c2": Label(met=False, kind="llm", votes=(False,))}


@pytest.mark.parametrize(
    ("criterion", "raters", "votes"),
    [
        ("c1", [1, 0, True], (True, False, True)),
        ("c1", ["Entailment", "Neutral", "Contradiction"], (True, False, False)),
        ("c2", ["Entailment", "Neutral", "Contradiction"], (False, False, True)),
        ("c1", ["dr-a", "dr-b"], (True,)),
        ("c1", [], (True,)),
        ("c1", None, (True,)),
    ],
)
def test_read_criteria_takes_votes_from_raters_that_say_them(tmp_path, criterion, raters, votes):
    row = criteria_row()
    row["responses"][0]["labels"] = {criterion: {"met": 1, "kind": "physician", "raters": raters}}
    (prompt,) = read(written(tmp_path, row)).prompts
    assert prompt.responses[0].labels == {criterion: Label(met=True, kind="physician", votes=votes)}


def test_read_pairs_prefers_chosen_and_turns_negative_criteria_round(tmp_path):
    (prompt,) = read(written(tmp_path, pairs_row())).prompts

    assert [response.id for response in prompt.responses] == ["chosen", "rejected"]
    assert prompt.preferences == (
        Preference(criterion="c1", winner="chosen", loser="rejected"),
        Preference(criterion="c2", winner="rejected", loser="chosen"),
    )
    assert prompt.source == "data"


def test_read_pairs_obeys_winners_and_counts_ties(tmp_path):
    result = read(written(tmp_path, pairs_row(winners={"c1": "tie", "c2": "rejected"})))

    assert result.prompts[0].preferences == (Preference(criterion="c2", winner="chosen", loser="rejected"),)
    assert skipped(result) == [("preference", "is a tie", ("line 1, criterion c1",))]


def test_read_healthbench_derives_criteria_and_labels(tmp_path):
    (prompt,) = read(written(tmp_path, healthbench_row())).prompts

    assert [(c.dimension, c.polarity, c.weight) for c in prompt.criteria] == [
        (Dimension.PROFICIENCY, Polarity.POSITIVE, 7),
        (Dimension.SAFETY, Polarity.NEGATIVE, None),
    ]
    assert [response.id for response in prompt.responses] == ["a", "r2"]
    verdicts = [[label.met for label in response.labels.values()] for response in prompt.responses]
    assert verdicts == [[True, False], [False, True]]


def test_read_healthbench_names_an_item_without_id_by_its_conversation(tmp_path):
    row, other = healthbench_row(), healthbench_row(prompt="another")
    del other["prompt_id"]
    first = read(written(tmp_path, row | {"prompt_id": None}, other)).prompts
    again = read(written(tmp_path, other, row | {"prompt_id": None})).prompts

    assert len({prompt.id for prompt in first}) == 2
    assert {prompt.id for prompt in first} == {prompt.id for prompt in again}


def test_read_without_responses_needs_to_be_told_that_none_are_needed(tmp_path):
    row = healthbench_row()
    del row["responses"]
    path = written(tmp_path, row)

    assert read(path, responses_needed=False).prompts[0].responses == ()
    with pytest.raises(DataError, match="responses: none is left"):
        read(path)


@each_format
def test_read_finds_out_the_format(tmp_path, file_format):
    path = written(tmp_path, "not JSON", MAKERS[file_format]())
    assert detect_format(path) == file_format
    assert read(path).report.file_format == file_format
    assert read(path).prompts == read(path, file_format).prompts


@each_format
def test_read_finds_out_the_format_of_most_rows(tmp_path, file_format):
    strays = ({"prompt": CANARY}, next(make() for name, make in MAKERS.items() if name != file_format))
    path = written(tmp_path, *strays, MAKERS[file_format](), MAKERS[file_format](id="p2", prompt_id="p2"))
    result = read(path)
    assert (result.report.file_format, result.report.prompts, result.report.rows_skipped) == (file_format, 2, 2)


@pytest.mark.parametrize("key", ["data", "items", "examples", "rows", "records", "samples", "questions", "train"])
def test_read_takes_an_object_that_holds_all_rows(tmp_path, key):
    rows = [criteria_row(), criteria_row(id="p2")]
    wrapped = read(written(tmp_path, json.dumps({"version": 1, key: rows})))
    assert wrapped.prompts == read(written(tmp_path, *rows)).prompts


def test_read_leaves_out_a_row_that_has_a_field_twice_and_names_it(tmp_path):
    row = json.dumps(criteria_row())
    twice = [
        row[:-1] + ', "prompt": "Another?"}',
        row.replace('"text":', '"text": "Names another limit.", "text":', 1),
        row.replace('"met":', '"met": 1, "met":', 1),
    ]
    for rows in ("\n".join([*twice, row]), f"[{', '.join([*twice, row])}]"):
        result = read(written(tmp_path, rows))
        assert [prompt.id for prompt in result.prompts] == [criteria_row()["id"]]
        told = {(each.part, each.reason, each.count) for each in result.report.skipped}
        fields = ("prompt", "text", "met")
        assert told == {("row", f"has the field {name!r} twice in one object", 1) for name in fields}


def test_read_refuses_one_object_that_has_a_field_twice(tmp_path):
    row = json.dumps(criteria_row(), indent=1)
    with pytest.raises(DataError, match="has the field 'id' twice in one object"):
        read(written(tmp_path, row[:-1] + ', "id": "b"}'))


def test_read_takes_standard_input(tmp_path, monkeypatch):
    data = json.dumps(pairs_row()).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    result = read(Path("-"))
    assert result.prompts[0].source == "stdin"
    assert result.report.sha256 == hashlib.sha256(data).hexdigest()


def without_labels(row: Row) -> Row:
    return row | {"responses": [{key: each[key] for key in ("id", "text")} for each in row["responses"]]}


def with_nulls(row: Any, file_format: FileFormat) -> Any:
    """The row with null for all that it may leave out."""
    optional: dict[FileFormat, Row] = {
        "criteria": {"source": None},
        "pairs": {"source": None, "winners": None},
        "healthbench": {"source": None, "example_tags": None},
    }
    criterion = {"healthbench": {"tags": None}}.get(file_format, {"points": None, "polarity": None, "axis": None})
    key = "rubrics" if file_format == "healthbench" else "criteria"
    nulled = row | optional[file_format] | {key: [each | dict.fromkeys(criterion) for each in row[key]]}
    if file_format != "pairs":
        graded = [each | {"id": None, "kind": None} for each in row["responses"]]
        nulled["responses"] = [each | ({"labels": None} if file_format == "criteria" else {}) for each in graded]
    return nulled


@each_format
def test_read_takes_null_for_absent(tmp_path, file_format):
    row = with_nulls(MAKERS[file_format](), file_format)
    result = read(written(tmp_path, row))
    assert skipped(result) == []
    expected = json.loads(json.dumps(row), object_hook=lambda entry: {k: v for k, v in entry.items() if v is not None})
    assert result.prompts == read(written(tmp_path, expected)).prompts


def test_read_criteria_takes_responses_without_labels(tmp_path):
    result = read(written(tmp_path, without_labels(criteria_row())))
    assert [(each.id, each.labels) for each in result.prompts[0].responses] == [("r1", {}), ("r2", {})]
    assert skipped(result) == []


@each_format
def test_read_takes_whole_numbers_as_ids(tmp_path, file_format):
    def numbered(entry: Row) -> Row:
        return entry | {key: position for position, key in enumerate(("id", "prompt_id"), start=4) if key in entry}

    row = json.loads(json.dumps(MAKERS[file_format]()).replace('"c1"', '"1"').replace('"c2"', '"2"'))
    for criterion in row.get("criteria", []):
        criterion["id"] = int(criterion["id"])
    (prompt,) = read(written(tmp_path, numbered(row))).prompts
    assert prompt.id == ("5" if file_format == "healthbench" else "4")
    if file_format != "healthbench":
        assert [criterion.id for criterion in prompt.criteria] == ["1", "2"]
    assert sum(len(each.labels) for each in prompt.responses) + len(prompt.preferences) > 0


def as_messages(text: str, prompt: list[Row]) -> list[Any]:
    """All the ways to write an answer."""
    part = {"type": "text", "text": text}
    answer = {"role": "assistant", "content": text}
    return [text, [answer], answer, [{"role": "Assistant", "content": [part]}], [part], [*prompt, answer]]


@each_format
def test_read_takes_texts_as_messages_and_parts(tmp_path, file_format):
    asked = [
        {"role": "developer", "content": "Be brief."},
        {"role": "User", "content": [{"type": "text", "text": "q"}]},
    ]
    read_back = []
    for way in range(6):
        row = MAKERS[file_format](prompt=asked)
        for holder, key in (
            [(row, "chosen"), (row, "rejected")]
            if file_format == "pairs"
            else [(response, "text") for response in row["responses"]]
        ):
            holder[key] = as_messages(holder[key], asked)[way]
        result = read(written(tmp_path, row))
        assert skipped(result) == []
        read_back.append(result.prompts)
    assert [(turn.role, turn.content) for turn in read_back[0][0].turns] == [("system", "Be brief."), ("user", "q")]
    assert all(prompts == read_back[0] for prompts in read_back)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ([], "text: does not end with a message of the assistant"),
        ([{"role": "user", "content": CANARY}], "text: does not end with a message of the assistant"),
        (
            [{"role": "user", "content": CANARY}, {"role": "assistant", "content": "a"}],
            "text: has messages before the answer that are not those of the prompt",
        ),
        ([{"type": "image_url", "image_url": CANARY}], "text: has a part that is not text"),
        ([{"role": CANARY, "content": CANARY}], "text.messages.role: Input should be 'system', 'user' or 'assistant'"),
        ([{"role": "assistant", "content": [{"type": "image"}]}], "text.messages.content: has a part that is not text"),
        ([{"role": "assistant", "content": " \u200b"}], "text: is empty"),
        ("\ufeff\u00ad \u200b\u200e", "text: is empty"),
        ("\u2800", "text: is empty"),
    ],
)
def test_read_leaves_out_an_answer_that_is_none(tmp_path, text, reason):
    result = read(written(tmp_path, changed(criteria_row(), set_in("responses", 0, "text", text))))
    assert skipped(result) == [("response", reason, ("line 1, response r1",))]


@each_format
def test_read_takes_words_in_any_case(tmp_path, file_format):
    text = json.dumps(MAKERS[file_format]())
    for word in ("proficiency", "safety", "positive", "negative", "axis:accuracy"):
        text = text.replace(f'"{word}"', f'" {word.title()}"' if ":" not in word else '"axis:Accuracy"')
    assert read(written(tmp_path, text)).prompts == read(written(tmp_path, MAKERS[file_format]())).prompts


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            set_in("responses", 0, "labels", {"c1": {"met": 1, "kind": "llm", "raters": ["Entailment", "Yes"]}}),
            "raters",
        ),
        (set_in("responses", 0, "labels", {"c1": {"met": 1, "kind": "llm", "raters": [1, "dr-a"]}}), "raters"),
        (set_in("responses", 0, {"id": "r1", "text": "a", "lables": {}}), "lables: is unknown; did you mean labels?"),
        (
            set_in("criteria", 0, {"id": "c1", "text": "x", "dimension": "proficiency", "polarty": "negative"}),
            "polarty",
        ),
        (
            set_in("criteria", 0, {"id": "c1", "text": "x", "dimension": "proficiency", "point": -9}),
            "point: is unknown",
        ),
        (
            set_in("criteria", 0, {"id": "c1", "text": "x", "dimension": "proficiency", "POINTS": -9}),
            "POINTS: is unknown; did you mean points?",
        ),
    ],
)
def test_read_names_words_that_it_does_not_know(tmp_path, change, reason):
    found = skipped(read(written(tmp_path, changed(criteria_row(), change))))
    assert found[0][1].startswith(reason) or found[-1][1].startswith(reason)


def test_read_healthbench_names_an_axis_that_it_does_not_know(tmp_path):
    row = changed(healthbench_row(), set_in("rubrics", 0, "tags", ["axis:acuracy"]))
    assert "tags: name an axis that is not one of accuracy, " in str(skipped(read(written(tmp_path, row))))


# ---- points and polarity ----

PROFICIENT = {"id": "c1", "text": "Names it.", "dimension": "proficiency"}
SAFE = {"id": "c1", "text": "Denies it.", "dimension": "safety"}


@pytest.mark.parametrize(
    ("criterion", "polarity", "weight"),
    [
        (PROFICIENT | {"points": -9}, Polarity.NEGATIVE, 9),
        (PROFICIENT | {"points": 9}, Polarity.POSITIVE, 9),
        (PROFICIENT | {"points": -9, "polarity": "negative"}, Polarity.NEGATIVE, 9),
        (PROFICIENT | {"points": 0, "polarity": "negative"}, Polarity.NEGATIVE, 0),
        (PROFICIENT | {"weight": 3, "polarity": "negative"}, Polarity.NEGATIVE, 3),
        (PROFICIENT | {"dimension": "excellence", "points": -2}, Polarity.NEGATIVE, None),
        (SAFE | {"points": -9}, Polarity.NEGATIVE, None),
        (SAFE, Polarity.NEGATIVE, None),
    ],
)
@pytest.mark.parametrize("make", [criteria_row, pairs_row])
def test_read_takes_negative_points_for_negative_polarity(tmp_path, make, criterion, polarity, weight):
    other = {"id": "c9", "text": "Else.", "dimension": "proficiency"}
    (prompt,) = read(written(tmp_path, make(criteria=[criterion, other]))).prompts
    assert (prompt.criteria[0].polarity, prompt.criteria[0].weight) == (polarity, weight)
    if make is pairs_row:
        assert (prompt.preferences[0].winner == "chosen") is (polarity is Polarity.POSITIVE)


@pytest.mark.parametrize(
    ("criterion", "reason"),
    [
        (PROFICIENT | {"points": 5, "polarity": "negative"}, "points: are positive on a proficiency criterion of neg"),
        (PROFICIENT | {"points": -5, "polarity": "positive"}, "points: are negative on a proficiency criterion of pos"),
        (SAFE | {"points": 9}, "points: are positive on a safety criterion of negative polarity; give negative points"),
        (SAFE | {"points": -9, "polarity": "positive"}, "polarity: is positive on a safety criterion"),
        (PROFICIENT | {"points": 9, "weight": 9}, "weight: is given together with points; give one of the two"),
        (PROFICIENT | {"weight": -9}, "weight: is -9.0; expected a finite number of 0 or more"),
    ],
)
@pytest.mark.parametrize("make", [criteria_row, pairs_row])
def test_read_leaves_out_a_criterion_whose_signs_contradict(tmp_path, make, criterion, reason):
    other = {"id": "c2", "text": "Else.", "dimension": "proficiency"}
    result = read(written(tmp_path, make(criteria=[criterion, other])))
    (found,) = [entry for entry in skipped(result) if entry[0] == "criterion"]
    assert found[1].startswith(reason)
    assert [each.id for each in result.prompts[0].criteria] == ["c2"]


@each_format
def test_read_takes_gzip_byte_order_mark_blank_lines_and_windows_line_ends(tmp_path, file_format):
    plain = json.dumps(MAKERS[file_format]()).encode()
    expected = read(written(tmp_path, plain)).prompts
    marked = [plain.decode().encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-32")]
    pretty = json.dumps(MAKERS[file_format](), indent=1).encode()
    for content in (*marked, gzip.compress(marked[1]), gzip.compress(plain), b"\n \n" + plain + b"\r\n\r\n", pretty):
        path = tmp_path / "data.jsonl.gz"
        path.write_bytes(content)
        result = read(path)
        assert result.prompts == expected
        assert result.report.rows == 1
        assert result.report.sha256 == hashlib.sha256(content).hexdigest()


@each_format
def test_read_takes_a_json_array(tmp_path, file_format):
    rows = [MAKERS[file_format](), 3, MAKERS[file_format](), MAKERS[file_format](id="p2", prompt_id="p2")]
    lines, array = read(written(tmp_path, *map(json.dumps, rows))), read(written(tmp_path, json.dumps(rows, indent=1)))

    assert array.prompts == lines.prompts
    assert (array.report.file_format, array.report.rows, array.report.prompts) == (file_format, 4, 2)
    assert skipped(array) == [
        ("row", "id: is the same as that of an earlier row", ("element 3",)),
        ("row", "is not a JSON object", ("element 2",)),
    ]


def test_read_ignores_keys_that_it_does_not_know(tmp_path):
    row = criteria_row(extra=1)
    row["criteria"][0]["axis"] = {"any": []}
    row["responses"][0]["model"] = 3
    row["prompt"] = [{"role": "user", "content": "x", "name": "y"}]
    assert skipped(read(written(tmp_path, row))) == []


@pytest.mark.parametrize("met", ["true", "1", "false", "0"])
def test_read_takes_verdicts_as_numbers_and_as_booleans(tmp_path, met):
    text = json.dumps(criteria_row()).replace('"met": 1', f'"met": {met}')
    (prompt,) = read(written(tmp_path, text)).prompts
    assert prompt.responses[0].labels["c1"].met is (met in {"true", "1"})


# ---- bad rows and parts ----

NO_CRITERION = "is for a criterion that the row does not have, or that was left out"
SAME_ID = "id: is the same as that of an earlier one"
OF_R1 = "line 1, response r1, criterion c1"


@pytest.mark.parametrize(
    ("change", "part", "reason", "place"),
    [
        (set_in("criteria", 1, "dimension", CANARY), "criterion", "dimension: Input should be", "line 1, criterion c2"),
        (set_in("criteria", 1, "polarity", "positive"), "criterion", "polarity: is positive", "line 1, criterion c2"),
        (set_in("criteria", 1, "text", " "), "criterion", "text: is empty", "line 1, criterion c2"),
        (set_in("criteria", 1, "points", CANARY), "criterion", "points: Input should be", "line 1, criterion c2"),
        (
            set_in("criteria", 1, "id", 3.5),
            "criterion",
            "id: Input should be a valid string",
            "line 1, criterion number 2",
        ),
        (
            set_in("criteria", 1, CANARY),
            "criterion",
            "Input should be a valid dictionary",
            "line 1, criterion number 2",
        ),
        (lambda row: row["criteria"][1].pop("text"), "criterion", "text: Field required", "line 1, criterion c2"),
        (lambda row: row["criteria"].append(row["criteria"][1]), "criterion", SAME_ID, "line 1, criterion c2"),
        (set_in("responses", 0, "text", " \n"), "response", "text: is empty", "line 1, response r1"),
        (set_in("responses", 0, "text", None), "response", "text: Field required", "line 1, response r1"),
        (
            set_in("responses", 0, "text", 3),
            "response",
            "text: is neither text nor a list of messages",
            "line 1, response r1",
        ),
        (set_in("responses", 0, "id", "r2"), "response", SAME_ID, "line 1, response r2"),
        (set_in("responses", 0, "labels", 1), "response", "labels: Input should be", "line 1, response r1"),
        (set_in("responses", 0, "labels", {"zz": {"met": 1, "kind": "llm"}}), "label", NO_CRITERION, "criterion zz"),
        (set_in("responses", 0, "labels", "c1", "met", 2), "label", "met: Input should be 0 or 1", OF_R1),
        (set_in("responses", 0, "labels", "c1", "met", "1"), "label", "met: Input should be 0 or 1", OF_R1),
        (set_in("responses", 0, "labels", "c1", "met", None), "label", "met: Field required", OF_R1),
        (set_in("responses", 0, "labels", "c1", "kind", 1), "label", "kind: Input should be a valid string", OF_R1),
        (set_in("responses", 0, "labels", "c1", 1), "label", "Input should be a valid dictionary", OF_R1),
    ],
)
def test_read_criteria_leaves_out_only_the_bad_part(tmp_path, change, part, reason, place):
    result = read(written(tmp_path, changed(criteria_row(), change)))

    found = [entry for entry in skipped(result) if entry[0] == part]
    assert [(entry[1].startswith(reason), entry[2][0].endswith(place)) for entry in found] == [(True, True)]
    assert result.report.prompts == 1
    assert result.report.rows_skipped == 0


def test_read_leaves_out_the_labels_of_a_criterion_that_is_left_out(tmp_path):
    result = read(written(tmp_path, changed(criteria_row(), set_in("criteria", 1, "dimension", "x"))))
    assert result.report.labels == 1
    assert ("label", NO_CRITERION, ("line 1, response r2, criterion c2",)) in skipped(result)


def test_read_leaves_out_every_criterion_of_an_id_that_means_several(tmp_path):
    row = criteria_row()
    row["criteria"].append(row["criteria"][0] | {"text": "Something else."})
    result = read(written(tmp_path, row))
    assert [criterion.id for criterion in result.prompts[0].criteria] == ["c2"]
    assert ("criterion", "id: stands for several different criteria", ("line 1, criterion c1",) * 2) in skipped(result)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_in("prompt", f"user: {CANARY}\n\nassistant: {CANARY}"), "prompt: ends with a turn of assistant"),
        (set_in("prompt", " "), "prompt: ends with an empty user turn"),
        (set_in("prompt", []), "prompt: has no messages"),
        (set_in("prompt", [{"role": CANARY, "content": CANARY}]), "prompt.messages.role: Input should be"),
        (set_in("prompt", 3), "prompt: is neither text nor a list of messages"),
        (set_in("id", ""), "id: is empty"),
        (set_in("id", 7.5), "id: Input should be a valid string"),
        (lambda row: row.pop("prompt"), "prompt: Field required"),
        (lambda row: row.pop("criteria"), "criteria: Field required"),
        (set_in("criteria", []), "criteria: none is left that can be used"),
        (set_in("responses", []), "responses: none is left that can be used"),
        (set_in("criteria", 0, "points", 0), "criteria: all proficiency weights are 0"),
    ],
)
def test_read_leaves_out_the_row_where_no_part_can_be_blamed(tmp_path, change, reason):
    result = read(written(tmp_path, criteria_row(id="good"), changed(criteria_row(), change)))
    ((found, places),) = [entry[1:] for entry in skipped(result) if entry[0] == "row"]
    assert places == ("line 2",)
    assert found.startswith(reason)
    assert [prompt.id for prompt in result.prompts] == ["good"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[]", "is not a JSON object"),
        ("null", "is not a JSON object"),
        ("3", "is not a JSON object"),
        ("{", "is not JSON in UTF-8: EOF while parsing an object"),
        (b"\xff\xfe", "is not JSON in UTF-8: expected value"),
        ("[" * 10_000, "is not JSON in UTF-8: recursion limit exceeded"),
        ('{"id": "\\ud800"}', "is not JSON in UTF-8: unexpected end of hex escape"),
        ('{"a": 1e999}{', "is not JSON in UTF-8: trailing characters"),
    ],
)
def test_read_leaves_out_a_line_that_is_not_an_object(tmp_path, line, reason):
    result = read(written(tmp_path, criteria_row(), line))
    assert skipped(result) == [("row", reason, ("line 2",))]


@each_format
def test_read_keeps_the_first_of_rows_with_one_id(tmp_path, file_format):
    result = read(written(tmp_path, MAKERS[file_format](), MAKERS[file_format](source="other")))
    assert [prompt.source for prompt in result.prompts] == ["clinic" if file_format == "criteria" else "data"]
    assert skipped(result) == [("row", "id: is the same as that of an earlier row", ("line 2",))]


@pytest.mark.parametrize(
    ("change", "part", "reason", "place"),
    [
        (set_in("winners", {"c1": "first"}), "preference", "Input should be 'chosen'", "line 2, criterion c1"),
        (set_in("winners", {"zz": "chosen"}), "preference", NO_CRITERION, "line 2, criterion zz"),
        (set_in("criteria", 0, "dimension", "x"), "criterion", "dimension: Input should be", "line 2, criterion c1"),
        (set_in("chosen", ""), "row", "chosen: is empty", "line 2"),
        (set_in("rejected", f"{CANARY} good"), "row", "rejected: is the same text as chosen", "line 2"),
        (set_in("winners", [1]), "row", "winners: Input should be a valid dictionary", "line 2"),
    ],
)
def test_read_pairs_leaves_out_what_is_bad(tmp_path, change, part, reason, place):
    result = read(written(tmp_path, pairs_row(id="good"), changed(pairs_row(), change)))
    ((found_part, found, places),) = skipped(result)
    assert (found_part, places) == (part, (place,))
    assert found.startswith(reason)


@pytest.mark.parametrize(
    ("change", "part", "reason", "place"),
    [
        (lambda row: row["responses"][0]["grades"].pop(), "response", "grades: are not one per", "line 1, response a"),
        (set_in("responses", 0, "grades", 1, {"criteria_met": "yes"}), "label", "criteria_met: Input", "response a"),
        (set_in("rubrics", 1, "points", "many"), "criterion", "points: Input should be", "line 1, criterion number 2"),
        (set_in("rubrics", 1, "points", float("nan")), "criterion", "points: Input should be a finite", "number 2"),
        (set_in("responses", 1, "id", "a"), "response", SAME_ID, "line 1, response a"),
        (set_in("responses", 1, 3), "response", "Input should be a valid dictionary", "line 1, response number 2"),
    ],
)
def test_read_healthbench_leaves_out_only_the_bad_part(tmp_path, change, part, reason, place):
    result = read(written(tmp_path, changed(healthbench_row(), change)))
    found = [entry for entry in skipped(result) if entry[0] == part]
    assert [(entry[1].startswith(reason), place in entry[2][0]) for entry in found] == [(True, True)]
    assert result.report.prompts == 1


def test_read_healthbench_keeps_grades_in_their_places_when_a_rubric_is_bad(tmp_path):
    result = read(written(tmp_path, changed(healthbench_row(), set_in("rubrics", 0, "points", None))))
    (criterion,) = result.prompts[0].criteria
    assert [response.labels[criterion.id].met for response in result.prompts[0].responses] == [False, True]


def test_read_counts_a_repeated_healthbench_criterion_in_every_place(tmp_path):
    row = healthbench_row()
    row["rubrics"].append(row["rubrics"][0] | {"points": 3})
    for response in row["responses"]:
        response["grades"].append({"criteria_met": True})
    result = read(written(tmp_path, row))
    (prompt,) = result.prompts
    assert [(c.id.partition("-")[2], c.weight) for c in prompt.criteria] == [("", 7), ("", None), ("2", 3)]
    assert prompt.criteria[2].id == f"{prompt.criteria[0].id}-2"
    assert [label.met for label in prompt.responses[1].labels.values()] == [False, True, True]
    assert skipped(result) == []


# ---- files ----


def test_read_refuses_a_file_that_is_absent_or_a_folder(tmp_path):
    for path in (tmp_path / "absent.jsonl", tmp_path):
        with pytest.raises(DataError, match=f"{path}: cannot be read: .*expected"):
            read(path)


@pytest.mark.parametrize("cut", [3, 12, -4])
def test_read_refuses_a_gzip_file_that_is_cut(tmp_path, cut):
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(criteria_row()).encode())[:cut])
    with pytest.raises(DataError, match="is not a whole gzip file"):
        read(path)


def test_read_refuses_a_file_of_no_known_format(tmp_path):
    with pytest.raises(DataError, match=r"is in no known format; expected one JSON object per line, an array"):
        read(written(tmp_path, {"prompt": CANARY}))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\n", "holds no JSON object that can be used; expected .*; the file is empty"),
        (b"nothing", r"holds no JSON object .*; is not JSON in UTF-8: expected ident \(1, first line 1\)"),
        (b"[1]", r"holds no JSON object .*; is not a JSON object \(1, first element 1\)"),
        (b'[{"a": 1},\n]', "is not JSON in UTF-8: trailing comma at line 2 column 1; fix it"),
        (b'{"a":\n 1,\n}', "is not JSON in UTF-8: trailing comma at line 3 column 1; fix it"),
        (b'{"a": 1},\n{"a": 2},\n', "is not JSON in UTF-8: each line ends with a comma; fix it"),
        (b'{"a": 1}{"a": 2}', "is not JSON in UTF-8: trailing characters at line 1 column 9; fix it"),
        (b'{"data": [], "more": []}', "is in no known format"),
        (b"PAR1\x00\x01", "is not a whole Parquet file: .*; expected"),
        (b"PK\x03\x04...", "is a zip archive"),
        ('{"a": 1}'.encode("utf-16-le"), "perhaps UTF-16 without a byte order mark; save it as UTF-8"),
        (b"\xff\xfe\x00", "begins as UTF-16, but is not valid UTF-16"),
        (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "is a gzip file in a gzip file; unpack"),
    ],
)
def test_read_says_what_a_file_is_that_it_cannot_use(tmp_path, content, reason):
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\ufeff"], ids=ascii)
def test_read_takes_lines_that_end_as_on_any_system_and_files_that_were_joined(tmp_path, end):
    path = tmp_path / "data.jsonl"
    path.write_bytes(end.join(json.dumps(criteria_row(id=each)) for each in ("a", "b")).encode())
    result = read(path)
    assert ([prompt.id for prompt in result.prompts], skipped(result)) == (["a", "b"], [])


def test_read_names_the_first_reasons_when_nothing_is_left(tmp_path):
    with pytest.raises(
        DataError, match=r"data.jsonl: holds no row of format pairs .* Field required \(2, first line 1\)"
    ):
        read(written(tmp_path, criteria_row(), criteria_row()), "pairs")


# ---- privacy, and nothing is silent ----

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(CANARY) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in a row."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, child in children for found in ((*path, key), *places_in(child, (*path, key)))]


@st.composite
def spoilt_rows(draw: st.DrawFn) -> Row:
    """A row of some format in which one thing that is not an id is junk."""
    row = draw(st.sampled_from(list(MAKERS.values())))(id=draw(st.sampled_from(["p1", "p2"])))
    places = [path for path in places_in(row) if path[-1] not in {"id", "prompt_id"}]
    set_in(*draw(st.sampled_from(places)), draw(JUNK))(row)
    return row


LINES = st.one_of(spoilt_rows().map(json.dumps), JUNK.map(json.dumps), st.text(max_size=9)).map(str.encode)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES | st.binary(max_size=9), max_size=6), file_format=st.sampled_from(list(MAKERS)))
def test_read_never_crashes_and_accounts_for_every_row(tmp_path, lines, file_format):
    first = json.dumps(MAKERS[file_format](id="good", prompt_id="good")).encode()
    result = read(written(tmp_path, first, *lines), file_format)

    assert result.report.rows == result.report.prompts + result.report.rows_skipped
    assert len(result.prompts) == result.report.prompts
    json.dumps(as_dict(result.report))
    for prompt in result.prompts:
        responses = {response.id for response in prompt.responses}
        assert len(responses) == len(prompt.responses)
        assert all(response.labels.keys() <= prompt.criterion_by_id.keys() for response in prompt.responses)
        assert all({entry.winner, entry.loser} == responses for entry in prompt.preferences)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=spoilt_rows())
def test_read_says_nothing_of_what_patients_wrote(tmp_path, row):
    path = written(tmp_path, row)
    for file_format in MAKERS:
        try:
            said = str(as_dict(read(path, file_format).report)["skipped"])
        except DataError as error:
            said = str(error)
        assert CANARY not in said


def test_read_shows_no_more_of_an_id_than_fits_a_name(tmp_path):
    row = criteria_row()
    row["responses"][0] |= {"id": "x" * 1000, "text": ""}
    row["responses"][1] |= {"id": "\x1b[31m", "text": ""}
    result = read(written(tmp_path, row, criteria_row(id="p2")))
    places = [place for part, _, first in skipped(result) if part == "response" for place in first]
    assert places == [f"line 1, response {'x' * 40}", "line 1, response number 2"]
