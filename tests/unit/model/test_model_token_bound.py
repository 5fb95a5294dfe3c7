"""The bound of a text's tokens: never above what the tokenizer makes, and sharp where it matters."""

import time
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers

from models import TEMPLATES, tiny_tokenizer
from promedical.messages import Message
from promedical_model.rendering.prompt import PromptRenderer
from promedical_model.rendering.text_encoder import TextEncoder
from promedical_model.rendering.token_bound import TokenBound

WITHOUT_END = 10**9
_PARTS = st.sampled_from(
    [
        "take 500 mg",
        "\n",
        " " * 40,
        "-" * 90,
        "e\u0301",
        "\u1112\u1161\u11ab",
        "ยาแก้ปวด",
        "用药",
        "👩‍⚕️",
        "é",
        "'s",
        "1234567",
    ]
)
_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
    st.lists(st.tuples(_PARTS, st.integers(1, 300))).map(lambda parts: "".join(text * n for text, n in parts)),
)
NORMALIZERS = {"none": None, "nfc": normalizers.NFC(), "lowercase": normalizers.Lowercase()}


@cache
def tokenizer(normalizer: str) -> Tokenizer:
    tiny = Tokenizer.from_str(tiny_tokenizer().to_str())  # a copy: others use it too
    if normalizer != "none":
        tiny.normalizer = NORMALIZERS[normalizer]
    return tiny


@cache
def encoder(normalizer: str) -> TextEncoder:
    return TextEncoder(tokenizer(normalizer))


def tokens_of(text: str, normalizer: str) -> int:
    return len(tokenizer(normalizer).encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@settings(max_examples=80, deadline=None)
@given(text=_TEXT)
def test_token_bound_is_never_above_what_the_tokenizer_makes(normalizer: str, text: str) -> None:
    bound = encoder(normalizer).bound

    assert bound.least_tokens(text, WITHOUT_END) <= tokens_of(text, normalizer)
    assert bound.least_tokens(text, 3) <= tokens_of(text, normalizer)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@settings(max_examples=40, deadline=None)
@given(text=_TEXT, tokens=st.integers(1, 5000))
def test_token_bound_cuts_no_text_that_may_be_needed(normalizer: str, text: str, tokens: int) -> None:
    bound = encoder(normalizer).bound
    first, last = bound.first(text, tokens), bound.last(text, tokens)

    assert text.startswith(first)
    assert text.endswith(last)
    for part in (first, last):
        assert part == text or tokens_of(part, normalizer) >= tokens


def test_token_bound_of_a_script_without_tokens_is_its_bytes() -> None:
    bound = TokenBound([b"-" * 80, b" " * 81, b"word", *(bytes([byte]) for byte in range(256))])

    assert bound.least_tokens("ย" * 1000, WITHOUT_END) >= 1000
    assert bound.least_tokens("-" * 8000, WITHOUT_END) == 100


@pytest.mark.parametrize("truncation", ["none", "prompt_start"])
def test_render_refuses_millions_of_characters_of_another_script_at_once(
    monkeypatch: pytest.MonkeyPatch, truncation: Any
) -> None:
    renderer = PromptRenderer(TEMPLATES["chatml"], encoder("none"), 8192)
    monkeypatch.setattr(TextEncoder, "encode", lambda *_: pytest.fail("tokenised"))
    responses = [f"{number}" + "ยาแก้ปวดลดไข้" * 100_000 for number in range(8)]
    began = time.monotonic()

    rendered = renderer.render([Message(role="user", content="?")], responses, ["is kind"], truncation)

    assert time.monotonic() - began < 5
    assert set(rendered.too_long) == set(range(8))


@pytest.mark.parametrize("text", ["pain and fever ", "ยาแก้ปวดลดไข้", "-" * 64 + "\n", "  \n"])
@pytest.mark.parametrize("truncation", ["response_end", "prompt_start"])
def test_render_cuts_early_as_if_it_had_read_everything(
    monkeypatch: pytest.MonkeyPatch, text: str, truncation: Any
) -> None:
    renderer = PromptRenderer(TEMPLATES["chatml"], encoder("none"), 300)
    turns = [Message(role="user", content="x" + text * (4_000 if truncation == "prompt_start" else 1))]
    responses = ["x" + text * (4_000 if truncation == "response_end" else 1)]

    early = renderer.render(turns, responses, ["is kind"], truncation)
    monkeypatch.setattr(TokenBound, "first", lambda _, text, __: text)
    monkeypatch.setattr(TokenBound, "last", lambda _, text, __: text)
    whole = renderer.render(turns, responses, ["is kind"], truncation)

    assert early.trees == whole.trees
    assert early.truncated == whole.truncated == {0}


def test_text_encoder_encodes_in_batches_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = PromptRenderer(TEMPLATES["chatml"], encoder("none"), 4096)
    asked = ([Message(role="user", content="why")], [f"answer {n}" for n in range(9)], ["is kind", "is brief"])
    whole = renderer.render(*asked)
    monkeypatch.setattr("promedical_model.rendering.text_encoder._BATCH_CHARACTERS", 20)

    assert renderer.render(*asked) == whole
