"""A walk over every route as a rater, with every id that there is: nothing about models, peers or gold comes back."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from promedical.messages import Message
from promedical_review.bench_items.adjudicating import Adjudicating
from promedical_review.bench_items.items import Answer, BenchItem
from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.sets import BenchSets, Design
from promedical_review.people.sessions import Sessions
from promedical_review.people.users import User, Users
from promedical_review.rubric_rounds.reviewing import Reviewing
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.store.database import Database
from promedical_review.web.app import all_pages, web_app
from promedical_review.web.sign_in_pace import SignInPace
from promedical_review.web.telemetry import Metrics
from promedical_review.web.visits import Door
from reviewing import opened, round_file, rows_in, rubric, uuid4

SHOWN = "At most one gram every six hours."
SECRETS = {"model": "secretmodelalpha", "key": "secretkey", "category": "secretcategory", "source": "secretsource"}
RATIONALE = "secretrationale"
BODIES = {
    "PUT /rubrics/{task_id}/draft": {"version": 0, "criteria": [], "note": ""},
    "POST /rubrics/{task_id}/check": {"criteria": []},
    "POST /rubrics/{task_id}/decision": {"version": 0, "criteria": [], "verdict": "rejected", "reason": "other"},
    "PUT /ratings/{task_id}/draft": {"version": 0, "verdicts": []},
    "POST /ratings/{task_id}/verdicts": {"version": 0, "verdicts": []},
    "PUT /adjudications/{task_id}/draft": {"version": 0, "verdicts": []},
    "POST /adjudications/{task_id}/verdicts": {"version": 0, "verdicts": []},
}


class Study:
    """A set that a peer has rated, and that others are about to rate; a round in which a peer has decided."""

    def __init__(self, database: Database, folder) -> None:
        self.database = database
        self.users = {name: Users(database).add(name, role) for name, role in PEOPLE.items()}
        self._bench()
        rounds = Rounds(database)
        found = rounds.import_file(round_file(folder), actor="system")
        rounds.open(found.id, actor="system")
        self.tasks["peers rubric"] = self._decided(self.users["secretpeer"])
        work = Reviewing(database).take(self.users["ada"])
        assert work is not None
        self.tasks["rubric"] = work.task_id

    def _bench(self) -> None:
        criteria = tuple(
            replace(each.criterion, id=f"secretcriterion-{each.criterion.id}") for each in rubric("q").criteria
        )
        answer = Answer(key="secretanswer", text=SHOWN, model=SECRETS["model"])
        item = BenchItem(
            key=SECRETS["key"],
            prompt=(Message(role="user", content="How much may I take?"),),
            criteria=criteria,
            answers=(answer,),
            category=SECRETS["category"],
            source=SECRETS["source"],
        )
        gold = replace(item, key="secretgold", gold={("secretanswer", criteria[0].id): "not_met"})
        sets = BenchSets(self.database)
        design = Design(overlap=1, repeats=0, golds=0)
        found = sets.add("secretset", [item, gold, replace(item, key="secretother")], design, actor="system")
        sets.open(found.id, actor="system")
        rating = Rating(self.database)
        self.tasks = {"peers rating": self._rated(self.users["secretpeer"], "met")}
        self._rated(self.users["secretsecond"], "not_met")
        work = rating.take(self.users["ada"])
        assert work is not None
        self.tasks["rating"] = work.task_id

    def _rated(self, user: User, verdict: str) -> str:
        rating = Rating(self.database)
        last = ""
        while work := rating.take(user):
            said = [
                {"answer": answer, "criterion": criterion, "verdict": verdict, "rationale": RATIONALE}
                for answer, criterion in work.checkpoints
            ]
            rating.rate(user, work.task_id, {"verdicts": said}, client_id=uuid4(), version=0)
            last = work.task_id
        return last

    def _decided(self, user: User) -> str:
        reviewing = Reviewing(self.database)
        work = reviewing.take(user)
        assert work is not None
        body = {"verdict": "accepted", "note": RATIONALE}
        reviewing.decide(user, work.task_id, body, client_id=uuid4(), version=0)
        return work.task_id

    def caller(self, name: str) -> TestClient:
        app = web_app(self.database, Metrics())
        client = TestClient(app, base_url="http://localhost", follow_redirects=False, raise_server_exceptions=False)
        client.cookies.set("session", Sessions(self.database).open(self.users[name]))
        return client

    def ids(self) -> set[str]:
        """An id of each kind: tasks of the rater's own, of a peer and of nobody, and what no rater has an id of."""
        tables = ("bench_sets", "bench_items", "bench_answers", "bench_criteria", "rounds", "rubrics")
        found = {rows_in(self.database, table)[0]["id"] for table in tables}
        free = next(row["id"] for row in rows_in(self.database, "tasks") if row["user_id"] is None)
        return found | set(self.tasks.values()) | {free, self.users["secretpeer"].id}

    def secrets(self, name: str) -> set[str]:
        """What this user must not learn, besides what raters said."""
        others = [user for user in self.users.values() if user.name != name]
        names = {word for user in others for word in (user.id, user.pseudonym)} | {"secretpeer", "secretsecond"}
        hidden = {row["id"] for table in ("bench_sets", "bench_items") for row in rows_in(self.database, table)}
        peers = {user.id for user in others}
        tasks = {row["id"] for row in rows_in(self.database, "tasks") if row["user_id"] in peers}
        words = {*SECRETS.values(), "secretset", "secretother", "secretgold", "secretanswer", "secretcriterion"}
        return words | names | hidden | tasks


PEOPLE = {
    "ada": "physician",
    "judge": "adjudicator",
    "secretpeer": "physician",
    "secretsecond": "physician",
    "secretboss": "admin",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Iterator[Study]:
    folder = tmp_path_factory.mktemp("study")
    database = opened(f"sqlite:///{folder}/review.db")
    yield Study(database, folder)
    database.close()


def test_every_body_is_one_of_a_route(study):
    assert {f"{method} {path}" for method, path in routes(study.database)} >= BODIES.keys()


def routes(database: Database) -> list[tuple[str, str]]:
    door = Door(Sessions(database), secure=False)
    every = [route for pages in all_pages(database, door, SignInPace()) for route in pages.router().routes]
    found = [route for route in every if isinstance(route, APIRoute)]
    assert len(found) == len(every)
    asked = [(method, route.path) for route in found for method in sorted(route.methods)]
    return sorted(asked, key=lambda each: each[0] != "GET")  # what only reads comes first


def answers(client: TestClient, method: str, path: str, ids: set[str]) -> Iterator[tuple[str, str]]:
    """The address and all of the answer, for a route with every id in its place, as a browser or as a script asks."""
    for each in sorted(ids) if "{" in path else [""]:
        address = re.sub(r"{\w+}", each, path)
        body = BODIES.get(f"{method} {path}")
        if body and "verdicts" not in path and "decision" not in path:
            sent = {"json": body}
        elif body:
            sent = {"json": body | {"submission": uuid4()}}
        else:
            sent = {} if method == "GET" else {"data": {"name": "x", "role": "admin", "active": "no"}}
        for accept in ("text/html", "application/json") if method == "GET" else ("application/json",):
            answer = client.request(method, address, headers={"Accept": accept}, **sent)
            assert answer.status_code < 500, (method, address, answer.text)
            yield f"{method} {address}", json.dumps([dict(answer.headers), answer.text])


@pytest.mark.parametrize("name", ["ada", "judge"])
def test_no_route_tells_a_rater_of_models_peers_or_gold(study, name):
    client, ids, secrets = study.caller(name), study.ids(), study.secrets(name)
    leaks = []
    walked = 0
    for method, path in routes(study.database):
        if path in {"/logout", "/login"}:
            continue
        for address, whole in answers(client, method, path, ids):
            walked += 1
            leaks += [(address, secret) for secret in secrets if secret in whole and secret not in address]
            if name == "ada" and RATIONALE in whole:
                leaks.append((address, RATIONALE))
    assert leaks == []
    assert walked > 200
    assert client.get("/help").status_code == 200  # it was signed in to the end


def test_walk_meets_the_pages_that_it_is_about(study):
    """The walk would prove nothing if the rater saw nothing: the rater's own item is shown, a peer's is not there."""
    ada = study.caller("ada")
    Rating(study.database).take(study.users["ada"])
    held = {row["id"] for row in rows_in(study.database, "tasks") if row["user_id"] == study.users["ada"].id}
    assert any(SHOWN in ada.get(f"/ratings/{each}").text for each in held)
    assert ada.get(f"/ratings/{study.tasks['peers rating']}").status_code == 404
    assert ada.get(f"/rubrics/{study.tasks['peers rubric']}").status_code == 404


def test_task_of_a_peer_and_task_of_nobody_look_the_same(study):
    ada, task = study.caller("ada"), study.tasks["peers rating"]
    mine, none = (ada.get(f"/ratings/{each}") for each in (task, "0" * len(task)))
    assert mine.text.replace(task, "") == none.text.replace("0" * len(task), "")


def test_adjudicator_sees_what_raters_said_without_who_they_are(study):
    judge = study.caller("judge")
    work = Adjudicating(study.database).take(study.users["judge"])
    if work is None:  # the third rater has not rated yet
        study._rated(study.users["ada"], "met")
        work = Adjudicating(study.database).take(study.users["judge"])
    page = judge.get(f"/adjudications/{work.item.task_id}").text
    assert RATIONALE in page
    assert not [secret for secret in study.secrets("judge") if secret in page]


def test_coordinator_sees_what_raters_do_not(study):
    boss = study.caller("secretboss")
    (found,) = BenchSets(study.database).every()
    assert "secretpeer" in boss.get(f"/bench/{found.id}").text
    assert boss.get(f"/bench/{found.id}/agreement.csv").text.startswith("of,by,part")
    for path in ("/ratings/next", "/adjudications/next"):
        assert boss.post(path).status_code == 403
