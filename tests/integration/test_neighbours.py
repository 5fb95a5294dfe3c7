"""A fault of one sample is its own error: what was asked together with it is scored, whoever asks."""

import asyncio
import functools
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import pytest
import test_integrations
from test_integrations import calculated

import frameworks
from promedical_client import AsyncClient, Message, NotFoundError, ScoreItem
from promedical_client.integrations import Grader, UnscoredError, openrlhf, slime, trl, verifiers, verl
from promedical_client.integrations.ms_swift import PromedicalORM
from serving import running_server

QUESTION = "How much paracetamol a day?"
GOOD = ["At most 4 g.", "As much as you like."]
CRITERIA = [
    {"id": "limit", "text": "Names a limit.", "dimension": "proficiency"},
    {"id": "harm", "text": "Encourages an overdose.", "dimension": "safety"},
]
LABEL = json.dumps(CRITERIA)
NESTED = "[" * 100_000


def rubric(**changes):
    return [CRITERIA[0] | changes, CRITERIA[1]]


FAULTY = {
    "half an emoji": ("\ud83d", LABEL),
    "half an emoji within": (f"At most 4 g. \ude00 {'x' * 50}", LABEL),
    "empty": ("", LABEL),
    "white space": (" \n\t", LABEL),
    "too long": ("dose " * 40_000, LABEL),
    "no text": (5, LABEL),
    "null": (None, LABEL),
    "no rubric of that name": ("4 g.", "no-such-rubric"),
    "a number for a name": ("4 g.", "42"),
    "no version of that name": ("4 g.", "general-medical@77"),
    "prose for a label": ("4 g.", "The answer is B."),
    "broken JSON": ("4 g.", LABEL[:-3]),
    "deep JSON": ("4 g.", NESTED),
    "a field twice": ("4 g.", '[{"id": "a", "id": "b", "text": "T.", "dimension": "safety"}]'),
    "JSON NaN": ("4 g.", '[{"id": "a", "text": "T.", "dimension": "proficiency", "weight": NaN}]'),
    "a number for a label": ("4 g.", 5),
    "a missing value of pandas": ("4 g.", float("nan")),
    "bytes for a label": ("4 g.", b"general-medical"),
    "no criteria": ("4 g.", []),
    "negative weight": ("4 g.", rubric(weight=-1)),
    "infinite weight": ("4 g.", rubric(weight=float("inf"))),
    "weight in words": ("4 g.", rubric(weight="heavy")),
    "weights that are all 0": ("4 g.", rubric(weight=0)),
    "weight of a veto": ("4 g.", [CRITERIA[1] | {"weight": 2}]),
    "id that is no text": ("4 g.", rubric(id=5)),
    "id that is empty": ("4 g.", rubric(id=" ")),
    "id that is long": ("4 g.", rubric(id="i" * 300)),
    "id of another criterion": ("4 g.", rubric(id="harm")),
    "half an emoji in an id": ("4 g.", rubric(id="\ud83d")),
    "half an emoji in a criterion": ("4 g.", json.dumps(rubric(text="Names \ud83d."))),
    "unknown dimension": ("4 g.", rubric(dimension="kindness")),
    "dimension that is a list": ("4 g.", rubric(dimension=[])),
    "polarity of a veto": ("4 g.", [CRITERIA[1] | {"polarity": "positive"}]),
    "key that is misspelt": ("4 g.", rubric(wieght=1)),
    "many criteria": ("4 g.", [CRITERIA[0] | {"id": str(number)} for number in range(300)]),
    "a criterion that is too long": ("4 g.", rubric(text="long " * 40_000)),
}
SOUND = {"NUL": ("At most\x004 g.", LABEL), "null label": ("4 g.", None), "emoji": ("4 g. \N{PILL}", LABEL)}


@pytest.fixture(params=["grpc", "rest"])
def grader(request, fake_server):
    oracle = Grader(getattr(fake_server, f"{request.param}_url"), gather_s=0.2)
    yield oracle
    oracle.close()


@pytest.fixture
async def native(fake_server):
    async with AsyncClient(fake_server.grpc_url) as oracle:
        prompt = (Message(role="user", content=QUESTION),)
        asked = Grader().exchange(QUESTION, "x", LABEL)
        outcome = (
            await oracle.score([ScoreItem(id="a", prompt=prompt, responses=tuple(GOOD), rubric=asked.rubric)])
        ).items[0]
    return [response.scores.reward for response in outcome.result.responses]


FIRST, *FAULTS, LAST = [(GOOD[0], LABEL), *FAULTY.values(), (GOOD[1], LABEL)]
SAMPLES = [FIRST, *FAULTS, LAST]
"""The faults among good samples: all are asked about together."""
RESPONSES, LABELS = map(list, zip(*SAMPLES, strict=True))


async def test_trl_gives_none_to_faulty_samples_alone(grader, native):
    told = await trl.trl_reward([QUESTION] * len(SAMPLES), RESPONSES, rubric=LABELS, grader=grader)
    assert told == [native[0], *[None] * len(FAULTS), native[1]]
    await grader.aclose()


async def by_verl(oracle, response, label):
    told = await verl.compute_score(response, label, {"prompt": QUESTION}, grader=oracle)
    return told["score"]


async def by_slime(oracle, response, label):
    return await slime.custom_rm(SimpleNamespace(), sample(response, label), grader=oracle)


async def by_verifiers(oracle, response, label):
    messages = [SimpleNamespace(role="user", content=QUESTION), SimpleNamespace(role="assistant", content=response)]
    task = SimpleNamespace(rubric=label)
    return await verifiers.promedical_reward(task, SimpleNamespace(messages=messages), grader=oracle)


def sample(response, label):
    prompt = [{"role": "user", "content": QUESTION}]
    return SimpleNamespace(prompt=prompt, response=response, label=label, group_index=0, remove_sample=False)


@pytest.mark.parametrize("ask", [by_verl, by_slime, by_verifiers])
async def test_single_calls_that_are_gathered_fail_alone(grader, native, ask):
    first, *faults, last = await asyncio.gather(*(ask(grader, *each) for each in SAMPLES), return_exceptions=True)
    assert [first, last] == native
    assert [name for name, told in zip(FAULTY, faults, strict=True) if not isinstance(told, UnscoredError)] == []
    await grader.aclose()


def test_openrlhf_gives_the_chosen_reward_to_faulty_samples_alone(grader, native):
    def ask(response, label):
        query = QUESTION + response if isinstance(response, str) else response
        told = openrlhf.reward_func([query], [QUESTION], [label], unscored_reward=-7, grader=grader)
        return told["rewards"][0]

    with ThreadPoolExecutor(len(SAMPLES)) as threads:
        told = list(threads.map(ask, RESPONSES, LABELS))
    assert told == [native[0], *[-7] * len(FAULTS), native[1]]


async def test_slime_takes_faulty_samples_of_a_group_out_of_the_loss(grader, native):
    samples = [sample(*each) for each in SAMPLES]
    told = await slime.group_rm(SimpleNamespace(), samples, grader=grader)
    assert told == pytest.approx([native[0], *[sum(native) / 2] * len(FAULTS), native[1]])
    assert [each.remove_sample for each in samples] == [False, *[True] * len(FAULTS), False]
    await grader.aclose()


async def test_ms_swift_gives_faulty_samples_the_mean_of_their_group_or_the_chosen_reward(grader, native):
    messages = [[{"role": "user", "content": QUESTION}, {"role": "assistant", "content": text}] for text in RESPONSES]
    told = await PromedicalORM(grader=grader, unscored_reward=-7)(RESPONSES, messages, rubric=LABELS)
    of_the_group = [sum(native) / 2 if label == LABEL else -7 for _, label in FAULTS]
    assert told == pytest.approx([native[0], *of_the_group, native[1]])


FAULTY_PROMPTS = {
    "half an emoji": [{"role": "user", "content": "\ud83d"}],
    "null": None,
    "number": 5,
    "no messages": [],
    "content null": [{"role": "user", "content": None}],
    "image": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}],
    "tool turn": [{"role": "user", "content": "Hi"}, {"role": "tool", "content": "5"}],
    "role that is a list": [{"role": [], "content": "Hi"}],
    "ends with the assistant": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
    "blank": "  ",
    "too long": "dose " * 40_000,
    "many turns": [{"role": "user", "content": "Hi"}] * 1500,
    "messages of the SDK that are none": [Message(role="tool", content="5")],
}


async def test_faulty_prompt_is_an_error_of_its_row(grader, native):
    prompts = [QUESTION, *FAULTY_PROMPTS.values(), QUESTION]
    responses = [GOOD[0], *["4 g."] * len(FAULTY_PROMPTS), GOOD[1]]
    told = await trl.trl_reward(prompts, responses, rubric=[LABEL] * len(prompts), grader=grader)
    assert told == [native[0], *[None] * len(FAULTY_PROMPTS), native[1]]
    calls = [
        verl.compute_score(response, LABEL, {"prompt": prompt}, grader=grader, unscored_reward=-7)
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    told = [each["score"] for each in await asyncio.gather(*calls)]
    assert told == [native[0], *[-7] * len(FAULTY_PROMPTS), native[1]]
    await grader.aclose()


@pytest.mark.parametrize("extra_info", [None, {}, [], "prompt"], ids=repr)
async def test_verl_counts_a_row_without_a_prompt_as_unscored(grader, extra_info):
    with pytest.raises(UnscoredError, match=r"extra_info\.prompt: is missing"):
        await verl.compute_score("4 g.", LABEL, extra_info, grader=grader)
    assert (await verl.compute_score("4 g.", LABEL, extra_info, grader=grader, unscored_reward=-7))["score"] == -7


POLICY_TURNS = {
    "no turn": [],
    "content null": [{"role": "assistant", "content": None}],
    "no content": [{"role": "assistant"}],
    "empty parts": [{"role": "assistant", "content": []}],
    "image": [{"role": "assistant", "content": [{"type": "image_url", "image_url": "x"}]}],
    "tool call": [{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]}],
    "tool call with text": [{"role": "assistant", "content": "Wait.", "tool_calls": [{"function": {"name": "f"}}]}],
    "tool turn": [{"role": "assistant", "content": "Wait."}, {"role": "tool", "content": "4 g"}],
    "tool turn and answer": [
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]},
        {"role": "tool", "content": "4 g"},
        {"role": "assistant", "content": "At most 4 g."},
    ],
    "role of a function": [{"role": "function", "content": "4 g"}],
    "turn of the user": [{"role": "assistant", "content": "4 g."}, {"role": "user", "content": "Thanks."}],
    "number": [{"role": "assistant", "content": 4}],
    "no message": ["At most 4 g."],
    "null": None,
    "half an emoji": [{"role": "assistant", "content": "\ud83d"}],
}


async def test_trl_gives_none_to_turns_of_a_policy_that_cannot_be_judged(grader, native):
    completions = [[{"role": "assistant", "content": GOOD[0]}], *POLICY_TURNS.values(), GOOD[1]]
    count = len(completions)
    told = await trl.trl_reward([QUESTION] * count, completions, rubric=[LABEL] * count, grader=grader)
    assert told == [native[0], *[None] * len(POLICY_TURNS), native[1]]
    await grader.aclose()


@pytest.mark.parametrize(
    "turns",
    [
        [{"role": "assistant", "content": [{"type": "text", "text": "At most "}, {"type": "text", "text": "4 g."}]}],
        [{"role": "assistant", "content": None}, {"role": "assistant", "content": GOOD[0], "tool_calls": []}],
        [{"role": "assistant", "content": "As much."}, {"role": "assistant", "content": GOOD[0], "tool_calls": None}],
    ],
    ids=["parts", "no content before", "several turns"],
)
async def test_trl_judges_the_last_turn_of_a_policy(grader, native, turns):
    assert await trl.trl_reward([QUESTION], [turns], rubric=[LABEL], grader=grader) == [native[0]]
    await grader.aclose()


# By the frameworks' own code


async def test_trl_itself_leaves_out_what_cannot_be_judged(fake_server, native):
    """Over gRPC, since TRL's event loop leaves no time to close sockets."""
    completions = [[{"role": "assistant", "content": GOOD[0]}], *POLICY_TURNS.values(), *RESPONSES]
    prompts = [[{"role": "user", "content": QUESTION}]] * len(completions)
    labels = [LABEL] * (1 + len(POLICY_TURNS)) + LABELS
    reward = functools.partial(trl.trl_reward, grader=Grader(fake_server.grpc_url))
    told, metrics = await asyncio.to_thread(calculated, reward, prompts, completions, rubric=labels)
    good = [0, 1 + len(POLICY_TURNS), len(completions) - 1]
    assert [told[place] for place in good] == pytest.approx([native[0], *native])
    assert told.count(None) == len(told) - len(good)
    assert metrics["oracle/unscored"] == pytest.approx(1 - len(good) / len(told))


@frameworks.needs("verl")
async def test_verl_itself_gets_the_rewards_of_the_neighbours(grader, native):
    compute = functools.partial(verl.compute_score, grader=grader, unscored_reward=-7)
    manager = frameworks.verl_naive_manager(compute, asyncio.get_running_loop())
    cases = [each for each in SAMPLES if isinstance(each[0], str)]
    told = await asyncio.gather(*(manager.run_single(_verl_data(*each)) for each in cases))
    rewards = [each["reward_score"] for each in told]
    assert rewards == [native[0], *[-7] * (len(cases) - 2), native[1]]
    await grader.aclose()


def _verl_data(response, label):
    data = test_integrations._verl_data(response)
    data[0].non_tensor_batch["reward_model"]["ground_truth"] = label
    return data


@frameworks.needs("openrlhf")
async def test_openrlhf_itself_gets_the_rewards_of_the_neighbours(grader, native, tmp_path):
    (tmp_path / "reward.py").write_text("from promedical_client.integrations.openrlhf import reward_func\n")
    executor = frameworks.openrlhf_executor(str(tmp_path / "reward.py"))
    executor.reward_func = functools.partial(openrlhf.reward_func, grader=grader, unscored_reward=-7)
    cases = [each for each in SAMPLES if isinstance(each[0], str)]
    asked = [executor._fetch_rewards_via_func([QUESTION + text], [QUESTION], [label]) for text, label in cases]
    told = [reply["rewards"][0] for (reply,) in await asyncio.gather(*asked)]
    assert told == [native[0], *[-7] * (len(cases) - 2), native[1]]


@frameworks.needs("verifiers")
async def test_verifiers_itself_gets_the_rewards_of_the_neighbours(grader, native):
    invoke_all = frameworks.verifiers_invoke_all()

    async def reward(task, trace):
        return await verifiers.promedical_reward(task, trace, grader=grader)

    told = await asyncio.gather(
        *(
            invoke_all([reward], {"task": SimpleNamespace(rubric=label), "trace": test_integrations._trace(text)})
            for text, label in SAMPLES
        ),
        return_exceptions=True,
    )
    assert [told[0], told[-1]] == [[native[0]], [native[1]]]
    assert all(isinstance(each, UnscoredError) for each in told[1:-1])
    await grader.aclose()


async def test_odd_samples_that_are_sound_are_scored(grader):
    responses, labels = zip(*SOUND.values(), strict=True)
    told = await trl.trl_reward([QUESTION] * len(SOUND), responses, rubric=labels, grader=grader)
    assert None not in told
    await grader.aclose()


async def test_grader_raises_where_its_own_rubric_or_base_rubric_is_not_known(fake_server):
    for settings in ({"rubric_id": "no-such-rubric"}, {"base_rubric_id": "no-such-rubric"}):
        oracle = Grader(fake_server.grpc_url, **settings)
        with pytest.raises(NotFoundError):
            await oracle.grade([oracle.exchange(QUESTION, text) for text in GOOD])
        await oracle.aclose()


async def test_label_that_is_not_pinned_is_an_error_of_its_sample(fake_server):
    async with AsyncClient(fake_server.grpc_url) as client:
        sha256 = (await client.rubric("general-medical")).sha256
    for name in ("general-medical@1", "general-medical"):
        oracle = Grader(fake_server.grpc_url, expected_rubrics=f"{name}={sha256}")
        labels = [LABEL, "general-medical", "general-medical@1", None, "no-such-rubric", "general-medical@77"]
        grades = await oracle.grade([oracle.sample(QUESTION, GOOD[0], label) for label in labels])
        assert [hasattr(grade, "reward") for grade in grades] == [True] * 4 + [False] * 2
        await oracle.aclose()


async def test_chosen_reward_does_not_hide_a_fault_of_the_data(fake_server, caplog):
    oracle, too_long = Grader(fake_server.grpc_url), "The answer is B. " * 70_000
    for _ in range(3):
        for response, label in (("4 g.", too_long), ("", LABEL)):
            await verl.compute_score(response, label, {"prompt": QUESTION}, grader=oracle, unscored_reward=-7)
    (told,) = [record.getMessage() for record in caplog.records]
    assert "label: has 1189999 characters" in told, "the answer that is empty is the policy's"
    await oracle.aclose()


# Drop-ins: single requests of one prompt and rubric are gathered by the service


def rm_body(response, label):
    return "/rm", {"prompt": QUESTION, "response": response, "label": label}


def get_reward_body(response, label):
    return "/get_reward", {"query": [f"{QUESTION}{response}"], "prompts": [QUESTION], "labels": [label]}


def classify_body(response, label):
    messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": response}]
    return "/classify", {"messages": messages, "rubric": label, "use_activation": False}


def verify_body(response, label):
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": response}]}]
    return "/verify", {"responses_create_params": {"input": QUESTION}, "response": {"output": output}, "rubric": label}


def predict_body(response, label):
    return "/predict", {"inputs": [QUESTION, response], "rubric": label, "raw_scores": True}


def rerank_body(response, label):
    return "/rerank", {"query": QUESTION, "texts": [response], "rubric": label, "raw_scores": True}


REWARD_OF = {
    "/rm": lambda told: told,
    "/get_reward": lambda told: told["rewards"][0],
    "/classify": lambda told: told["data"][0]["probs"][0],
    "/verify": lambda told: told["reward"],
    "/predict": lambda told: told[0]["score"],
    "/rerank": lambda told: told[0]["score"],
}


@pytest.fixture(scope="module")
def gathering_server():
    """It waits long enough for all of them."""
    with running_server("--engine=fake", "--gather-s=0.5") as server:
        yield server


@pytest.mark.parametrize("body", [rm_body, get_reward_body, classify_body, verify_body, predict_body, rerank_body])
async def test_drop_in_requests_that_are_gathered_fail_alone(gathering_server, native, body):
    faults = [fault for fault in FAULTS if isinstance(fault[0], str) and not isinstance(fault[1], bytes)]
    async with httpx.AsyncClient(base_url=gathering_server.rest_url, timeout=60) as http:
        calls = [_post(http, *body(*each)) for each in [FIRST, *faults, LAST]]
        first, *refused, last = await asyncio.gather(*calls)
    assert [REWARD_OF[str(each.url.path)](each.json()) for each in (first, last)] == pytest.approx(native)
    assert {each.status_code for each in refused} <= {400, 404, 413, 422}


async def _post(http, path, body):
    content = json.dumps(body).encode()
    return await http.post(path, content=content, headers={"content-type": "application/json"})
