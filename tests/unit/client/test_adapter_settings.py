"""Settings and columns of every adapter: one set of names, and no name that silently does nothing."""

import asyncio
import functools
import json
import logging
import os
from types import SimpleNamespace

import pytest

from promedical_client import MisconfiguredError, MockTransport, WeightsSpec, judged_by
from promedical_client.integrations import Grader, openrlhf, shared_grader, slime, trl, verifiers, verl
from promedical_client.integrations.ms_swift import PromedicalORM
from promedical_client.integrations.settings import SETTINGS, VARIABLES

QUESTION = "How much paracetamol a day?"
CRITERIA = [{"id": "limit", "text": "Names a limit.", "dimension": "proficiency"}]
LABEL = json.dumps(CRITERIA)
HEALTHBENCH = [{"criterion": "Names a limit.", "points": 7}]
TURNS = [{"role": "user", "content": QUESTION}]
CONVERSATION = [*TURNS, {"role": "assistant", "content": ""}]
TRACE = SimpleNamespace(messages=[SimpleNamespace(**turn) for turn in CONVERSATION])
SAMPLE = SimpleNamespace(prompt=TURNS, response="", label=LABEL, group_index=0, remove_sample=False)
QUERY = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
ARGS = SimpleNamespace(reward_key=None)

EMPTY_ANSWER = {
    "trl": lambda **more: asyncio.run(trl.trl_reward([TURNS], [""], rubric=[LABEL], **more))[0],
    "verl": lambda **more: asyncio.run(verl.compute_score("", LABEL, {"prompt": TURNS}, **more))["score"],
    "verl batch": lambda **more: verl.compute_scores([""], [LABEL], [{"prompt": TURNS}], **more)[0]["score"],
    "openrlhf": lambda **more: openrlhf.reward_func([QUERY], [QUERY], [LABEL], **more)["rewards"][0],
    "slime": lambda **more: asyncio.run(slime.custom_rm(ARGS, SAMPLE, **more)),
    "slime group": lambda **more: asyncio.run(slime.group_rm(ARGS, [SAMPLE], **more))[0],
    "ms-swift": lambda **more: asyncio.run(PromedicalORM(**more)([""], [CONVERSATION], rubric=[LABEL]))[0],
    "verifiers": lambda **more: asyncio.run(
        verifiers.promedical_reward(SimpleNamespace(rubric=LABEL), TRACE, **more)
    ),
}  # fmt: skip
"""Every adapter, asked about an empty answer."""


def mocked(**settings):
    transport = MockTransport(score=judged_by(lambda response, _: 0.9 if "4 g" in response else 0.2))
    return Grader("mock://", transport=transport, gather_s=0.0, **settings), transport


@pytest.mark.parametrize("adapter", EMPTY_ANSWER)
def test_every_adapter_takes_the_reward_of_what_is_not_scored_from_its_grader(adapter):
    oracle, _ = mocked(unscored_reward=-1.25)
    assert EMPTY_ANSWER[adapter](grader=oracle) == -1.25
    oracle.close()


@pytest.mark.parametrize("adapter", EMPTY_ANSWER)
@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"unscored_rewrd": -1.0}, "unscored_rewrd: is not known; did you mean unscored_reward"),
        ({"proficency_mode": "soft"}, "did you mean proficiency_mode"),
        ({"colour": "blue"}, "colour: is not known; known are api_key"),
        ({"url": "grpc://h:1"}, "url: given together with a grader"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_every_adapter_refuses_a_setting_that_would_do_nothing(adapter, wrong, hint):
    with pytest.raises(MisconfiguredError, match=hint):
        EMPTY_ANSWER[adapter](grader=mocked()[0], **wrong)


@pytest.mark.parametrize("adapter", EMPTY_ANSWER)
@pytest.mark.parametrize(
    "wrong",
    [{"proficiency_mode": "sfot"}, {"violation_penalty": 0.5}, {"excellence_weight": "a"}, {"unscored_reward": "nan"}],
    ids=lambda value: next(iter(value)),
)
def test_every_adapter_names_a_value_that_cannot_be_used(adapter, wrong):
    with pytest.raises(MisconfiguredError, match=next(iter(wrong))):
        EMPTY_ANSWER[adapter](**wrong)


@pytest.mark.parametrize("name", ["rubric_idd", "unscored_rewrd", "urls"])
def test_grader_refuses_a_setting_that_it_does_not_know(name):
    with pytest.raises(MisconfiguredError, match=f"{name}: is not known; did you mean"):
        Grader("grpc://h:1", **{name: "x"})


@pytest.mark.parametrize("name", ["proficiency_mode", "violation_penalty"])
def test_grader_says_where_its_weights_are_given(name):
    with pytest.raises(MisconfiguredError, match=rf"WeightsSpec\({name}=...\)"):
        Grader("grpc://h:1", **{name: "x"})


def test_grader_names_a_truncation_that_there_is_not():
    with pytest.raises(MisconfiguredError, match="did you mean response_end"):
        Grader("grpc://h:1", truncation="response-end")


def test_shared_grader_takes_every_setting_from_the_environment_as_by_name(monkeypatch):
    wanted = {"proficiency_mode": "soft", "excellence_weight": "0.2", "excellence_cap": "0.3", "unscored_reward": "-2"}
    by_name = shared_grader(**wanted, url="grpc://h:1")
    for name, value in wanted.items():
        monkeypatch.setenv(VARIABLES[name], value)
    for grader in (by_name, shared_grader(url="grpc://h:1")):
        assert grader.reward_weights == WeightsSpec(proficiency_mode="soft", excellence_weight=0.2, excellence_cap=0.3)
        assert grader.unscored_reward == -2.0


def test_shared_grader_refuses_a_variable_that_is_no_setting(monkeypatch):
    monkeypatch.setenv("PROMEDICAL_CLIENT_UNSCORED_REWRD", "-1")
    with pytest.raises(MisconfiguredError, match="did you mean PROMEDICAL_CLIENT_UNSCORED_REWARD"):
        shared_grader()


@pytest.mark.parametrize("name", ["SERVICE_HOST", "SERVICE_PORT_GRPC", "PORT", "PORT_50051_TCP_ADDR"])
def test_shared_grader_leaves_variables_of_kubernetes_alone(monkeypatch, name):
    monkeypatch.setenv(f"PROMEDICAL_CLIENT_{name}", "x")
    assert shared_grader(url="grpc://h:1") is shared_grader(url="grpc://h:1")


def test_every_setting_is_an_argument_of_the_grader(monkeypatch):
    for variable in [name for name in os.environ if name.startswith("PROMEDICAL_CLIENT_")]:
        monkeypatch.delenv(variable)
    values = dict.fromkeys(SETTINGS, "1") | {
        "url": "grpc://h:1",
        "proficiency_mode": "soft",
        "excellence_weight": "0.5",
        "violation_penalty": "9",
        "expected_rubrics": f"a@1={'0' * 64}",
        "thoughts": "judge",
        "truncation": "none",
    }
    tls = {"ca_file", "cert_file", "key_file"}  # files that must exist
    assert shared_grader(**{name: value for name, value in values.items() if name not in tls}).unscored_reward == 1.0


COLUMNS = {
    "rubric": [LABEL, CRITERIA],
    "criteria": [[{**CRITERIA[0], "points": 7}], LABEL],
    "rubrics": [HEALTHBENCH, json.dumps(HEALTHBENCH)],
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("adapter", ["trl", "ms-swift", "verifiers"])
def test_adapters_take_criteria_from_the_columns_of_other_data_sets(adapter, name):
    oracle, transport = mocked()
    for value in COLUMNS[name]:
        if adapter == "trl":
            asyncio.run(trl.trl_reward([TURNS], ["4 g."], **{name: [value]}, solution=["x"], grader=oracle))
        elif adapter == "ms-swift":
            asked = PromedicalORM(grader=oracle)(["4 g."], [CONVERSATION], **{name: [value]}, trainer_state=None)
            asyncio.run(asked)
        else:
            trace = SimpleNamespace(messages=[*TRACE.messages[:1], SimpleNamespace(role="assistant", content="4 g.")])
            asyncio.run(verifiers.promedical_reward(SimpleNamespace(**{name: value}), trace, grader=oracle))
    assert [call.items[0].rubric.criteria[0].text for call in transport.calls] == ["Names a limit."] * 2


@pytest.mark.parametrize("column", ["rubic", "criterion", "rubrik_id", "Rubrics", "rubric_ids"])
def test_adapters_refuse_a_column_of_criteria_that_is_misspelt(column):
    with pytest.raises(MisconfiguredError, match=f"column {column}: is not known; did you mean"):
        asyncio.run(trl.trl_reward([TURNS], ["4 g."], **{column: [LABEL]}, grader=mocked()[0]))
    with pytest.raises(MisconfiguredError, match="did you mean"):
        asyncio.run(PromedicalORM(grader=mocked()[0])(["4 g."], [CONVERSATION], **{column: [LABEL]}))


def test_adapters_leave_other_columns_alone():
    oracle, transport = mocked()
    others = {"solution": ["x"], "url": ["https://example.org"], "source": ("medquad",), "difficulty": [3]}
    asyncio.run(trl.trl_reward([TURNS], ["4 g."], rubric=[LABEL], **others, trainer_state=object(), grader=oracle))
    assert len(transport.calls) == 1


def test_trl_takes_settings_by_name(monkeypatch):
    oracle, _ = mocked(reward_weights=WeightsSpec(proficiency_mode="soft"))
    monkeypatch.setattr("promedical_client.integrations.shared._grader", lambda settings: (oracle, dict(settings))[0])
    reward = functools.partial(trl.trl_reward, proficiency_mode="soft")
    assert asyncio.run(reward([TURNS], ["4 g."], rubric=[LABEL])) == [pytest.approx(0.9)]


@pytest.mark.parametrize("label", [None, "", " "], ids=repr)
def test_grader_says_once_that_it_falls_back_to_the_default_rubric(label, caplog):
    oracle, _ = mocked()
    with caplog.at_level(logging.WARNING):
        rubrics = [oracle.exchange(QUESTION, "4 g.", given).rubric for given in (LABEL, label, label)]
    assert rubrics[1:] == ["general-medical"] * 2
    assert [record.getMessage().count("is judged by general-medical") for record in caplog.records] == [1]
    assert QUESTION not in caplog.text


@pytest.mark.parametrize("settings", [{"rubric_id": "house@1"}, {"rubric_id": "general-medical"}])
def test_grader_is_silent_where_the_rubric_was_chosen(settings, caplog):
    oracle, _ = mocked(**settings)
    with caplog.at_level(logging.WARNING):
        assert oracle.exchange(QUESTION, "4 g.").rubric == settings["rubric_id"]
        assert oracle.exchange(QUESTION, "4 g.", "other").rubric == "other"
    assert not caplog.records


def test_verl_batch_asks_for_all_samples_in_one_call_by_the_names_of_verl():
    oracle, transport = mocked()
    told = verl.compute_scores(
        data_sources=["a", "a"],
        solution_strs=["4 g.", "As you like."],
        ground_truths=[LABEL, LABEL],
        extra_infos=[{"prompt": TURNS}, {"prompt": TURNS}],
        grader=oracle,
    )
    assert [(one["score"], one["scored"]) for one in told] == [(1.0, 1.0), (0.0, 1.0)]
    assert len(transport.calls) == 1
    oracle.close()


def test_verl_takes_what_verl_passes_beside_the_settings():
    oracle, _ = mocked()
    of_verl = {"data_source": "a", "reward_router_address": "h:1", "reward_model_tokenizer": object()}
    told = asyncio.run(
        verl.compute_score(
            solution_str="4 g.", ground_truth=LABEL, extra_info={"prompt": TURNS}, grader=oracle, **of_verl
        )
    )
    assert told["score"] == 1.0
