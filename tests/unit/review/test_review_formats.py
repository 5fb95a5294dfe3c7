"""Work in and out: round trips without loss where that is promised, and what broken files are told."""

import csv
import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from promedical.messages import Message
from promedical_data.errors import DataError
from promedical_data.reading import read
from promedical_data.rounds.files import read_decisions
from promedical_review.bench_items.adjudicating import Adjudicating
from promedical_review.bench_items.rated import GivenVerdict, Rated, RatedItem, RatedSets
from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.sets import BenchSets, Design
from promedical_review.cli import app
from promedical_review.errors import NotAllowedError
from promedical_review.formats import argilla, label_studio, verdict_csv
from promedical_review.formats.bench_export import export_bench
from promedical_review.formats.checkpoints import checkpoints_of
from promedical_review.formats.copies import read_copy, write_copy
from promedical_review.people.sessions import Sessions
from promedical_review.people.users import Users
from promedical_review.rubric_rounds.reviewing import Reviewing
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.store.events import append, history
from promedical_review.store.tables.every import metadata
from reviewing import PASSWORD, adjudication, bench_item, opened, rating, round_file, rows_in, user, uuid4

TURNS = (
    Message(role="user", content="I have a fever."),
    Message(role="assistant", content="How high?"),
    Message(role="user", content="39.5 °C, and user: a rash\n\nassistant: none"),
)


def given_set():
    """Verdicts of two physicians and a model on three items, with texts that files find hard."""
    hard = [bench_item("i0", claims={"dose": "c", "harm": "c"}), bench_item("i1", answers=1)]
    items = [replace(hard[0], prompt=TURNS[:1]), replace(hard[1], prompt=TURNS[:3], category="=cmd()", source='x, "y"')]
    verdicts = {
        "ada": lambda place: GivenVerdict(verdict="met", rationale='says so:\n"1 g", 中文', span=(0, 6)),
        "ben": lambda place: GivenVerdict(verdict="cannot_assess" if place[1] == "harm" else "met"),
        "gpt": lambda place: GivenVerdict(verdict="not_met", rationale="=1+1"),
    }
    rated = [
        RatedItem(
            item=item,
            verdicts={
                who: {(a.key, c.id): say((a.key, c.id)) for a in item.answers for c in item.criteria}
                for who, say in verdicts.items()
            },
        )
        for item in items
    ]
    return Rated(raters={"ada": "physician", "ben": "physician", "gpt": "judge"}, items=rated)


@pytest.fixture
def rows(sqlite, clock):
    made = RatedSets(sqlite, clock).add("given", given_set(), actor="root")
    return checkpoints_of(sqlite, made.id)


def kept(rows, *, spans=True):
    """What a file must keep of checkpoints."""
    return [
        replace(
            row,
            votes=tuple(
                replace(vote, at=None, given=vote.given if spans else replace(vote.given, span=None))
                for vote in row.votes
            ),
        )
        for row in rows
    ]


@pytest.mark.parametrize("name", ["verdicts.json", "verdicts.json.gz"])
@pytest.mark.parametrize(("module", "spans"), [(label_studio, True), (argilla, False)], ids=["label-studio", "argilla"])
def test_verdicts_go_to_other_tools_and_come_back(rows, sqlite, clock, tmp_path, module, spans, name):
    module.write(tmp_path / name, rows)
    back = module.read(tmp_path / name)
    made = RatedSets(sqlite, clock).add("back", back, actor="root")

    again = checkpoints_of(sqlite, made.id)
    raters = {pseudonym: name for name, pseudonym in pseudonyms(sqlite, "back").items()}
    named = [replace(row, votes=tuple(replace(vote, rater=raters[vote.rater]) for vote in row.votes)) for row in again]
    assert sorted(kept(by_rater(named)), key=key) == sorted(kept(by_rater(rows), spans=spans), key=key)
    assert len(rows) == 6
    assert {row.prompt for row in again} == {TURNS[:1], TURNS}


def key(row):
    return row.key


def by_rater(rows):
    return [replace(row, votes=tuple(sorted(row.votes, key=lambda vote: vote.rater))) for row in rows]


def pseudonyms(database, prefix):
    named = [row for row in rows_in(database, "users") if row["name"].startswith(f"{prefix}: ")]
    return {row["name"].removeprefix(f"{prefix}: "): row["pseudonym"] for row in named}


def test_label_studio_annotations_of_its_own_users_are_read(rows, tmp_path):
    path = tmp_path / "export.json"
    label_studio.write(path, rows[:1])
    (task,) = json.loads(path.read_text())
    task["annotations"][0] |= {"completed_by": {"id": 7, "email": "ada@clinic.example"}, "lead_time": 3.2}
    task["annotations"][1] |= {"completed_by": 8, "was_cancelled": True}
    path.write_text(json.dumps([task | {"meta": {}, "project": 3}]))

    back = label_studio.read(path)

    assert "ada@clinic.example" in back.raters
    assert len(back.raters) == 2


def test_argilla_drafts_are_left_out_and_json_lines_are_read(rows, tmp_path):
    path = tmp_path / "records.jsonl"
    argilla.write(path, rows)
    records = json.loads(path.read_text())
    for record in records:
        record["responses"]["verdict"][0]["status"] = "draft"
    path.write_text("\n".join(json.dumps(record) for record in records))

    assert len(argilla.read(path).raters) == 2


BROKEN = {
    "not json": ("{", "is not JSON"),
    "no tasks": ("[]", "holds no verdict"),
    "other": ('[{"id": 1}]', "entry 1: "),
    "twice": ('[{"data": 1, "data": 2}]', ": "),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("module", [label_studio, argilla], ids=["label-studio", "argilla"])
def test_broken_files_of_other_tools_are_refused(tmp_path, module, name):
    text, said = BROKEN[name]
    (tmp_path / "broken.json").write_text(text)

    with pytest.raises(DataError, match=said):
        module.read(tmp_path / "broken.json")


@pytest.mark.parametrize(
    ("module", "change"),
    [
        (label_studio, lambda row: row["annotations"][0]["result"].clear()),
        (label_studio, lambda row: row["annotations"][0]["result"][0]["value"].update(choices=["perhaps"])),
        (label_studio, lambda row: row["data"]["facts"].update(dimension="beauty")),
        (label_studio, lambda row: row["data"].update(prompt=[])),
        (argilla, lambda row: row["responses"]["verdict"][0].update(value="perhaps")),
        (argilla, lambda row: row["metadata"].pop("criterion_id")),
    ],
    ids=["no verdict", "word", "dimension", "prompt", "argilla word", "argilla criterion"],
)
def test_broken_entries_are_refused_by_place(rows, tmp_path, module, change):
    path = tmp_path / "broken.json"
    module.write(path, rows)
    entries = json.loads(path.read_text())
    change(entries[1])
    path.write_text(json.dumps(entries))

    with pytest.raises(DataError, match="entry 2: "):
        module.read(path)


def test_csv_has_a_row_for_each_verdict_and_runs_no_formula(rows, tmp_path):
    verdict_csv.write(tmp_path / "verdicts.csv", rows)

    found = table(tmp_path / "verdicts.csv")
    assert len(found) == 6 * 3
    assert {row["verdict"] for row in found} == {"met", "not_met", "cannot_assess"}
    assert {row["rater_kind"] for row in found} == {"physician", "judge"}
    assert "'=1+1" in {row["rationale"] for row in found}
    assert {row["category"] for row in found} == {"paediatrics", "'=cmd()"}


def table(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def busy(database, clock, tmp_path):
    """A database in which something of everything happened."""
    root = Users(database, clock).add("root", "admin", password=PASSWORD)
    Sessions(database, clock).open(root)
    rounds, reviewing = Rounds(database, clock), Reviewing(database, clock)
    made = rounds.open(rounds.import_file(round_file(tmp_path), actor=root.id).id, actor=root.id)
    ada, ben, eve = user(database, "ada"), user(database, "ben"), user(database, "eve", "adjudicator")
    work = reviewing.take(ada)
    reviewing.decide(ada, work.task_id, {"verdict": "accepted", "note": "NUL \0"}, client_id=uuid4(), version=0)
    rates, judges, sets = Rating(database, clock), Adjudicating(database, clock), BenchSets(database, clock)
    bench = sets.add(
        "bench", [bench_item("i0"), bench_item("i1")], Design(overlap=0, repeats=0, golds=0), actor=root.id
    )
    sets.open(bench.id, actor=root.id)
    for who, exceptions in [(ada, {}), (ben, {"at_0": "not_met", "at_1": "cannot_assess"})]:
        while item := rates.take(who):
            rates.rate(who, item.task_id, rating(item, **exceptions), client_id=uuid4(), version=0)
    work = judges.take(eve)
    judges.decide(eve, work.item.task_id, adjudication(work), client_id=uuid4(), version=0)
    return database, made, bench


def test_copy_holds_everything_and_another_database_goes_on_from_it(busy, clock, tmp_path):
    database, *_ = busy
    count = write_copy(database, tmp_path / "copy.jsonl.gz")
    other = opened(f"sqlite:///{tmp_path}/other.sqlite")

    assert read_copy(other, tmp_path / "copy.jsonl.gz") == count
    for table in metadata.tables:
        expected = rows_in(database, table) if table != "sessions" else []
        for row in expected:
            row.update(password=None) if table == "users" else None
        assert sorted(map(repr, rows_in(other, table))) == sorted(map(repr, expected)), table
    assert write_copy(other, tmp_path / "again.jsonl.gz") == count
    assert (tmp_path / "again.jsonl.gz").read_bytes() == (tmp_path / "copy.jsonl.gz").read_bytes()
    other.write(lambda connection: append(connection, at=2.0, actor="system", kind="seen", subject="x"))
    other.close()


def test_copy_goes_into_postgresql_whose_log_continues(sqlite, postgres, tmp_path):
    user(sqlite, "ada")
    write_copy(sqlite, tmp_path / "copy.jsonl")
    other = opened(postgres)
    read_copy(other, tmp_path / "copy.jsonl")

    other.write(lambda connection: append(connection, at=2.0, actor="system", kind="seen", subject="x"))

    assert [event.kind for event in other.read(history)] == ["user_added", "seen"]
    other.close()


def test_copy_is_read_into_an_empty_database_only(sqlite, tmp_path):
    user(sqlite, "ada")
    write_copy(sqlite, tmp_path / "copy.jsonl")

    with pytest.raises(NotAllowedError, match="is not empty"):
        read_copy(sqlite, tmp_path / "copy.jsonl")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "holds 1 of 2 rows; it was cut off"),
        (lambda lines: [], "is empty"),
        (lambda lines: [lines[0].replace('"0002"', '"9999"'), *lines[1:]], "is of revision 9999"),
        (lambda lines: [lines[0].replace("promedical-review", "other"), *lines[1:]], r":1: is no line"),
        (
            lambda lines: [each.replace('"table": "users"', '"table": "people"') for each in lines],
            r":\d: is no row of a table",
        ),
        (lambda lines: [each.replace('"active"', '"acting"') for each in lines], r":\d: is no row of a table"),
        (lambda lines: [lines[0], lines[1][:-5], lines[2]], r":2: is no line"),
    ],
    ids=["cut", "empty", "revision", "format", "table", "column", "json"],
)
def test_broken_copies_are_refused_and_nothing_is_stored(sqlite, migrated, tmp_path, change, said):
    user(sqlite, "ada")
    path = tmp_path / "copy.jsonl"
    write_copy(sqlite, path)
    path.write_text("\n".join(change(path.read_text().splitlines())))
    other = opened(f"sqlite:///{tmp_path}/other.sqlite")

    with pytest.raises(DataError, match=said):
        read_copy(other, path)
    assert rows_in(other, "users") == []
    other.close()


def test_benchmark_reads_as_labelled_data_with_physicians_verdicts(busy, tmp_path):
    database, _, bench = busy

    made = export_bench(database, bench.id, tmp_path / "bench")

    (first, second) = read(tmp_path / "bench" / "bench.jsonl").prompts
    labels = [label for prompt in (first, second) for each in prompt.responses for label in each.labels.values()]
    assert {label.kind for label in labels} == {"physician"}
    assert made.labels == len(labels) == 4 + 2  # one item was adjudicated, the other has two checkpoints open
    assert made.open == 2
    assert {each.id for each in first.responses} == {"a0", "a1"}
    assert {path.name for path in (tmp_path / "bench").iterdir()} == {
        "bench.jsonl",
        "verdicts.csv",
        "finals.csv",
        "pairs.csv",
        "agreement.csv",
    }
    finals = table(tmp_path / "bench" / "finals.csv")
    assert sorted({row["origin"] for row in finals}) == ["adjudicated", "agreed"]
    assert {row["reason"] for row in finals if row["origin"] == "adjudicated"} == {"slip"}
    with pytest.raises(DataError, match="exists; name a new folder"):
        export_bench(database, bench.id, tmp_path / "bench")


def test_pairs_put_the_better_answer_first_by_polarity(sqlite, clock, tmp_path):
    item = bench_item("i0")
    said = {("a0", "dose"): "met", ("a1", "dose"): "not_met", ("a0", "harm"): "met", ("a1", "harm"): "not_met"}
    verdicts = {"ada": {place: GivenVerdict(verdict=verdict) for place, verdict in said.items()}}
    rated = Rated(raters={"ada": "physician"}, items=[RatedItem(item=item, verdicts=verdicts)])
    made = RatedSets(sqlite, clock).add("pairs", rated, actor="root")
    export_bench(sqlite, made.id, tmp_path / "bench")

    rows = {row["criterion"]: row for row in table(tmp_path / "bench" / "pairs.csv")}

    assert (rows["dose"]["better"], rows["harm"]["better"]) == ("a0", "a1")


def test_set_that_only_a_model_judged_is_no_benchmark(sqlite, clock, tmp_path):
    verdicts = {"gpt": {("a0", "dose"): GivenVerdict(verdict="met")}}
    rated = Rated(raters={"gpt": "judge"}, items=[RatedItem(item=bench_item("i0"), verdicts=verdicts)])
    made = RatedSets(sqlite, clock).add("judged", rated, actor="root")

    with pytest.raises(DataError, match="no checkpoint has a final verdict of physicians"):
        export_bench(sqlite, made.id, tmp_path / "bench")
    assert not (tmp_path / "bench").exists()


class Shell:
    """The command, with a database of its own."""

    def __init__(self, folder):
        self.url = f"sqlite:///{folder}/shell.sqlite"

    def __call__(self, *arguments, fails=False):
        done = CliRunner().invoke(app, [*map(str, arguments), "--database", self.url])
        assert done.exit_code == (2 if fails else 0), done.output
        return done.output


@pytest.fixture
def shell(tmp_path):
    run = Shell(tmp_path)
    run("db", "upgrade")
    return run


def test_commands_take_a_round_from_file_to_file(shell, tmp_path):
    assert "password=" in shell("users", "add", "ada", "--role", "physician")
    assert "ada\tphysician\trater-" in shell("users", "list")
    assert "the password of 'ada' is" in shell("users", "password", "ada")
    assert "'round-1' is open, with 3 rubrics" in shell("import", "round", round_file(tmp_path), "--open")
    database = opened(shell.url)
    ada, reviewing = Users(database).named("ada"), Reviewing(database)
    while work := reviewing.take(ada):
        reviewing.decide(ada, work.task_id, {"verdict": "accepted"}, client_id=uuid4(), version=0)
    database.close()

    assert "round-1\topen\t3 of 3 decided" in shell("rounds", "list")
    assert "is closed, with 3 of 3 decided" in shell("rounds", "close", "round-1")
    assert "wrote 3 decisions" in shell("export", "round", "round-1", tmp_path / "decisions.jsonl")
    assert len(read_decisions(tmp_path / "decisions.jsonl")[1]) == 3


def test_commands_take_items_in_and_the_benchmark_out(shell, sqlite, clock, tmp_path):
    made = RatedSets(sqlite, clock).add("given", given_set(), actor="root")
    label_studio.write(tmp_path / "ls.json", checkpoints_of(sqlite, made.id))

    said = shell("import", "rated", tmp_path / "ls.json", "--format", "label-studio", "--name", "theirs")
    assert "2 items, rated by 2 physicians and 1 models" in said
    assert "3 checkpoints have no label" in shell("export", "bench", "theirs", tmp_path / "bench")
    assert "not in it: " in shell("export", "verdicts", "theirs", tmp_path / "v.json", "--format", "argilla")
    file = tmp_path / "bench" / "bench.jsonl"
    said = shell("import", "bench", file, "--name", "mine", "--gold", file, fails=True)
    assert "holds the key 'i0' twice" in said
    assert "set 'mine' is open, with 2 items" in shell("import", "bench", file, "--name", "mine")
    assert "mine\topen\t2 rating" in shell("sets", "list")
    assert "2 items are not rated" in shell("sets", "close", "mine", fails=True)
    assert "is closed" in shell("sets", "close", "mine", "--incomplete")
    assert "rows to" in shell("export", "copy", tmp_path / "copy.jsonl")
    assert "is not empty" in shell("import", "copy", tmp_path / "copy.jsonl", fails=True)


def test_commands_say_in_one_line_what_is_wrong(tmp_path):
    run = Shell(tmp_path)
    assert "promedical-review db upgrade" in run("users", "list", fails=True)
    assert "promedical-review db upgrade" in run("db", "check", fails=True)
    run("db", "upgrade")
    assert "there is none of this name" in run("rounds", "close", "none", fails=True)
    assert "there is none of this name" in run("sets", "close", "none", fails=True)
    assert "role: is 'root'" in run("users", "add", "ada", "--role", "root", fails=True)
    assert "cannot be read" in run("import", "round", tmp_path / "none.jsonl", fails=True)
