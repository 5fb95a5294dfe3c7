"""Rubrics of a real process that change while it serves, in a folder as Kubernetes mounts a ConfigMap."""

import contextlib
import json
from dataclasses import replace

import grpc
import httpx
import pytest
from edges_kit import Grpc, Rest, until

import gated
from promedical import messages as m
from promedical.messages import RubricPin
from serving import running_server

DOSE = {"id": "dose", "text": "Names the dose.", "dimension": "proficiency"}
HARM = {"id": "harm", "text": "Advises harm.", "dimension": "safety"}
ASKED = m.ScoreRequest(items=(m.ScoreItem(id="a", prompt="How much?", responses=("4 g.",), rubric_id="house@1"),))


class Mounted:
    """A mounted ConfigMap; what it holds is replaced in one step."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    def hold(self, **files):
        self.count += 1
        (self.folder / f"..{self.count}").mkdir()
        for name, text in files.items():
            (self.folder / f"..{self.count}" / f"{name}.json").write_text(text)
        (self.folder / "..next").symlink_to(f"..{self.count}")
        (self.folder / "..next").replace(self.folder / "..data")
        for name in files:
            with contextlib.suppress(FileExistsError):
                (self.folder / f"{name}.json").symlink_to(f"..data/{name}.json")


def rubric(*criteria):
    return json.dumps({"title": "House", "criteria": criteria})


@pytest.fixture(scope="module")
def mounted(tmp_path_factory):
    made = Mounted(tmp_path_factory.mktemp("rubrics"))
    made.hold(house_1=rubric(DOSE))
    return made


@pytest.fixture(scope="module")
def service(mounted):
    flags = ("--engine=fake", f"--rubric-dir={mounted.folder}")
    environment = {"FAKE_TOKENS_PER_S": "1e9", "REREAD_S": "0.05"}
    with running_server(*flags, program=(gated.__file__,), **environment) as server:
        yield server


async def test_rubric_rolls_under_its_name_and_pinned_callers_are_refused(service, mounted):
    async with (
        httpx.AsyncClient(base_url=service.rest_url, timeout=60) as http,
        grpc.aio.insecure_channel(service.grpc_target) as channel,
    ):
        before = await known(http)
        assert before.keys() == {"general-medical@1", "house@1"}
        mounted.hold(house_1=rubric(HARM), house_2=rubric(DOSE, HARM))
        while (after := await known(http)) == before:
            pass
        assert after.keys() == {"general-medical@1", "house@1", "house@2"}
        assert after["house@1"] != before["house@1"]
        for client in (Rest(http), Grpc(channel)):
            assert (await client.ask("ScoreBatch", ASKED)).code == "ok"
            codes = {
                name: (await client.ask("ScoreBatch", pinned(pins["house@1"]))).code
                for name, pins in (("old", before), ("new", after))
            }
            assert codes == {"old": "revision_mismatch", "new": "ok"}
        answer = await http.post("/v1/score", json={"items": [item("house")]})
        assert [used["sha256"] for used in answer.json()["rubrics"]] == [after["house@2"]]
        assert f'sha256="{after["house@2"][:12]}"' in (await http.get("/metrics")).text


async def test_rubrics_that_turn_bad_change_nothing_but_the_metric(service, mounted):
    async with httpx.AsyncClient(base_url=service.rest_url, timeout=60) as http:
        before = await known(http)
        mounted.hold(house_1=rubric(DOSE), house_2="{ not JSON")
        await until(lambda: service.events("rubric files not read, the old rubrics stay"))
        (line,) = service.events("rubric files not read, the old rubrics stay")
        assert line["level"] == "error"
        assert "house_2.json" in line["reasons"][0]
        assert "promedical_rubric_files_ok 0.0" in (await http.get("/metrics")).text
        assert (await http.get("/readyz")).status_code == 200
        assert await known(http) == before
        mounted.hold(house_1=rubric(DOSE), house_2=rubric(HARM))
        while await known(http) == before:
            pass
        assert "promedical_rubric_files_ok 1.0" in (await http.get("/metrics")).text


async def known(http):
    return {each["name"]: each["sha256"] for each in (await http.get("/v1/model")).json()["rubrics"]}


def pinned(sha256):
    return replace(ASKED, expected_rubrics=(RubricPin(name="house@1", sha256=sha256),))


def item(name):
    return {"id": "a", "prompt": "How much?", "responses": ["4 g."], "rubric_id": name}
