"""Errata, exclusions and the benchmark in an admin's pages: what they do, whom they refuse, and what they say."""

import io
import zipfile

import pytest
from starlette.testclient import TestClient

from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.reading import KnownItem, items_of
from promedical_review.bench_items.sets import BenchSets, Design
from promedical_review.errors import InvalidError
from promedical_review.people.sessions import Sessions
from promedical_review.people.users import Users
from promedical_review.rubric_rounds.reviewing import Reviewing
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.store.database import Database
from promedical_review.subjects import Subjects
from promedical_review.web.app import web_app
from promedical_review.web.telemetry import Metrics
from promedical_review.work.exclusions import Exclusions
from reviewing import HandClock, bench_item, rating, round_file, rows_in, user, uuid4

SITE = "https://review.example"
PEOPLE = {"boss": "admin", "watcher": "viewer", "ada": "physician", "ben": "physician", "judge": "adjudicator"}


class Study:
    """A set of two items, one of which is locked, and an open round."""

    def __init__(self, database: Database, folder) -> None:
        self.database, self.clock = database, HandClock()
        self.users = {name: user(database, name, role) for name, role in PEOPLE.items()}
        sets = BenchSets(database, self.clock)
        design = Design(overlap=0, repeats=0, golds=0)
        self.set_id = sets.add("pilot", [bench_item("q1"), bench_item("q2%")], design, actor="system").id
        sets.open(self.set_id, actor="system")
        self.rate("q1")
        self.round_id = Rounds(database).import_file(round_file(folder), actor="system").id
        Rounds(database).open(self.round_id, actor="system")

    def rate(self, key: str) -> None:
        """Both physicians rate the item, and are kept from the other one."""
        ratings = Rating(self.database, self.clock)
        (other,) = (each.ids.id for each in items_of(self.database, self.set_id) if each.item.key != key)
        for name in ("ada", "ben"):
            rater = self.users[name]
            Exclusions(self.database).add(rater.id, other, "for later", actor="system")
            work = ratings.take(rater)
            assert work is not None
            ratings.rate(rater, work.task_id, rating(work), client_id=uuid4(), version=0)

    def item(self, key: str, version: int = 1) -> KnownItem:
        (found,) = (e for e in items_of(self.database, self.set_id) if (e.item.key, e.version) == (key, version))
        return found

    def caller(self, name: str) -> TestClient:
        app = web_app(self.database, Metrics(), public_url=SITE)
        client = TestClient(app, base_url=SITE, follow_redirects=True, raise_server_exceptions=True)
        client.cookies.set("__Host-session", Sessions(self.database).open(self.users[name]))
        return client

    def correct(self, client: TestClient, item: KnownItem, **wordings: str):
        """Send the whole form, as a browser does."""
        reason = wordings.pop("reason", "It was wrong.")
        texts = {each.id: each.text for each in item.item.criteria} | wordings
        data = {item.ids.criteria[name]: text.replace("\n", "\r\n") for name, text in texts.items()}
        return client.post(f"/bench/{self.set_id}/items/{item.ids.id}/correction", data=data | {"reason": reason})


@pytest.fixture
def study(sqlite, tmp_path) -> Study:
    return Study(sqlite, tmp_path)


@pytest.fixture
def boss(study) -> TestClient:
    return study.caller("boss")


def test_items_are_found_by_a_part_of_their_id(study, boss):
    assert all(key in boss.get(f"/bench/{study.set_id}/items").text for key in ("q1", "q2%"))
    found = boss.get(f"/bench/{study.set_id}/items", params={"find": "2%"}).text
    assert "q2%" in found
    assert "q1</a>" not in found
    none = boss.get(f"/bench/{study.set_id}/items", params={"find": "1%"})  # a sign of SQL is no sign here
    assert "There is no such item" in none.text


def test_items_come_page_by_page(boss, study):
    items = [bench_item(f"n{number:03}") for number in range(60)]
    large = BenchSets(study.database).add("large", items, actor="system").id
    first = boss.get(f"/bench/{large}/items").text
    assert ("n049" in first, "n050" in first, "begin=50" in first) == (True, False, True)
    second = boss.get(f"/bench/{large}/items", params={"begin": 50}).text
    assert ("n049" in second, "n050" in second, "n059" in second) == (False, True, True)


def test_item_shows_an_admin_its_models_and_what_holds(study, boss):
    page = boss.get(f"/bench/{study.set_id}/items/{study.item('q1').ids.id}").text
    assert "model-0" in page
    assert page.count(">Met</span>") == 4


def test_correction_makes_a_version_and_names_what_must_be_scored_again(study, boss):
    answer = study.correct(boss, study.item("q1"), dose="States 1 g\nevery 6 hours", reason="No dose.\r\nAt all.")
    new = study.item("q1", 2)
    assert answer.url.path.endswith(new.ids.id)
    assert new.item.criteria[0].text == "States 1 g\nevery 6 hours"
    assert "To be scored again" in answer.text
    assert "Answer a1 · dose" in answer.text
    assert "· harm" not in answer.text
    assert study.item("q1", 1).state == "superseded"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "wordings: is empty"),
        ({"dose": "  "}, "text"),
        ({"dose": "States it.", "reason": " "}, "reason: is empty"),
    ],
    ids=["nothing changed", "no text", "no reason"],
)
def test_correction_that_cannot_be_used_says_why_and_changes_nothing(study, boss, changes, said):
    answer = study.correct(boss, study.item("q1"), **changes)
    assert answer.status_code == 422
    assert said in answer.text
    assert [each.version for each in items_of(study.database, study.set_id)] == [1, 1]


def test_only_a_locked_item_takes_a_correction(study, boss):
    page = boss.get(f"/bench/{study.set_id}/items/{study.item('q2%').ids.id}").text
    assert "only once it is locked" in page
    assert '<form method="post" action="/bench/' not in page
    assert study.correct(boss, study.item("q2%"), dose="States it.").status_code == 403


def test_item_of_another_set_is_not_there(study, boss):
    other = BenchSets(study.database).add("other", [bench_item("q1")], actor="system").id
    item = study.item("q1").ids.id
    assert boss.get(f"/bench/{other}/items/{item}").status_code == 404
    assert boss.post(f"/bench/{other}/items/{item}/correction", data={"reason": "x"}).status_code == 404


def test_exclusion_keeps_an_item_from_a_physician_for_good(study, boss):
    ada, ben = study.users["ada"], study.users["ben"]
    work = Reviewing(study.database).take(ada, study.round_id)
    row = next(each["row"] for each in rows_in(study.database, "rubrics") if each["row"] in work.instruction)
    form = {"batch": study.round_id, "key": row, "reason": "wrote the answer"}
    page = boss.post(f"/users/{ada.id}/exclusions", data=form).text
    assert f'<td class="any">{row}</td>' in page
    assert "wrote the answer" in page
    got = Reviewing(study.database).take(ada, study.round_id)
    assert got.task_id != work.task_id
    held = {Reviewing(study.database).take(ben, study.round_id).task_id}
    held |= {row["id"] for row in rows_in(study.database, "tasks") if row["state"] == "queued"}
    assert work.task_id in held


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": "q7"}, "key: is"),
        ({"reason": " "}, "reason: is empty"),
        ({"batch": "x"}, "key: is"),
        ({"key": "\0"}, "key"),
    ],
    ids=["key", "reason", "batch", "nul"],
)
def test_exclusion_that_cannot_be_used_says_why(study, boss, changes, said):
    form = {"batch": study.set_id, "key": "q1", "reason": "a relative"} | changes
    before = rows_in(study.database, "exclusions")
    answer = boss.post(f"/users/{study.users['judge'].id}/exclusions", data=form)
    assert answer.status_code == 422
    assert said in answer.text
    assert rows_in(study.database, "exclusions") == before


def test_exclusion_of_nobody_is_refused(study, boss):
    form = {"batch": study.set_id, "key": "q1", "reason": "a relative"}
    assert boss.post("/users/nobody/exclusions", data=form).status_code == 404
    assert boss.get("/users/nobody/exclusions").status_code == 404


def test_exclusion_from_adjudication_becomes_a_whole_one(study, boss):
    study.correct(boss, study.item("q1"), dose="States it.")
    ada, item = study.users["ada"], study.item("q1", 2).ids.id

    def purposes() -> dict:
        return {each.subject: each.purpose for each in Exclusions(study.database).of_user(ada.id)}

    assert purposes()[item] == "adjudication"
    Exclusions(study.database).add(ada.id, item, "a relative", actor="system")
    assert purposes()[item] is None


def test_subject_is_the_latest_version_of_an_item(study, boss):
    study.correct(boss, study.item("q1"), dose="States it.")
    subjects = Subjects(study.database)
    assert subjects.named(study.set_id, "q1") == study.item("q1", 2).ids.id
    with pytest.raises(InvalidError, match="give the id that the imported file has"):
        subjects.named(study.round_id, "q1 ")


def test_benchmark_comes_as_one_file(study, boss):
    for client in (boss, study.caller("watcher")):
        answer = client.get(f"/bench/{study.set_id}/export.zip")
        assert answer.headers["content-disposition"] == 'attachment; filename="pilot.zip"'
        with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
            assert packed.testzip() is None
            assert b'"physician"' in packed.read("bench.jsonl")


def test_nothing_to_take_out_is_said_without_a_path_of_the_server(study, boss):
    empty = BenchSets(study.database).add("empty", [bench_item("q1")], actor="system").id
    for path, said in (
        (f"/bench/{empty}/export.zip", "final verdict"),
        (f"/rounds/{study.round_id}/decisions.jsonl", "decided"),
    ):
        answer = boss.get(path)
        assert answer.status_code == 409
        assert said in answer.text
        assert "/tmp" not in answer.text


@pytest.mark.parametrize("name", ["ada", "judge", "watcher"])
def test_nobody_but_an_admin_corrects_or_excludes(study, name):
    client, item = study.caller(name), study.item("q1")
    before = rows_in(study.database, "exclusions"), rows_in(study.database, "bench_items")
    for path in (f"/bench/{study.set_id}/items", f"/bench/{study.set_id}/items/{item.ids.id}"):
        assert client.get(path).status_code == 403
    assert study.correct(client, item, dose="States it.").status_code == 403
    exclusions = f"/users/{study.users['ada'].id}/exclusions"
    assert client.get(exclusions).status_code == 403
    form = {"batch": study.set_id, "key": "q1", "reason": "x"}
    assert client.post(exclusions, data=form).status_code == 403
    assert (rows_in(study.database, "exclusions"), rows_in(study.database, "bench_items")) == before


def test_another_site_corrects_and_excludes_nothing(study, boss):
    boss.headers["Sec-Fetch-Site"] = "cross-site"
    before = rows_in(study.database, "exclusions")
    assert study.correct(boss, study.item("q1"), dose="States it.").status_code == 403
    form = {"batch": study.set_id, "key": "q1", "reason": "x"}
    assert boss.post(f"/users/{study.users['ada'].id}/exclusions", data=form).status_code == 403
    assert rows_in(study.database, "exclusions") == before
    assert study.item("q1").state == "locked"


def test_scripts_in_items_and_reasons_are_shown_as_text(study, boss):
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    page = study.correct(boss, study.item("q1"), dose=attack, reason=attack).text
    form = {"batch": study.set_id, "key": "q1", "reason": attack}
    page += boss.post(f"/users/{study.users['judge'].id}/exclusions", data=form).text
    assert page.count("&lt;script&gt;") >= 3
    assert "<script>alert" not in page
    assert "<img" not in page


def test_measures_without_a_value_are_no_columns(study, boss):
    page = boss.get(f"/bench/{study.set_id}/agreement").text
    assert "Raw agreement" in page
    assert "linear weights" not in page


def test_pseudonym_that_somebody_has_is_not_drawn(sqlite, monkeypatch):
    drawn = iter(["aaaaaa", "aaaaaa", "aaaaaa", "bbbbbb"])
    monkeypatch.setattr("promedical_review.people.users.secrets.token_hex", lambda size: next(drawn))
    users = Users(sqlite)
    assert [users.add(name, "physician").pseudonym for name in ("ada", "ben")] == ["rater-aaaaaa", "rater-bbbbbb"]
