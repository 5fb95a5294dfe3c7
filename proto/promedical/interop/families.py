"""Families of chat templates: how each writes a turn, the tokens around turns, and what any markup looks like."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from promedical.messages import Role

ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",
    "[system_prompt]": "system",
    "user": "user",
    "[inst]": "user",
    "human": "user",
    "instruction": "user",
    "assistant": "assistant",
    "model": "assistant",
    "chatbot": "assistant",
    "ai": "assistant",
    "gpt": "assistant",
    "response": "assistant",
    "[/inst]": "assistant",
}
"""The roles by the words of all families, in small letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFormat:
    """How one family of chat templates writes a turn.

    Attributes:
        name: What errors and documents call it.
        opening: What begins a turn, with the group `role`, and the group `channel` in families that have channels.
        closings: What ends a turn; without them the next opening does.
        padded: Whether the template or the model adds white space around a turn.
        system_first: Whether text before the first opening is a system turn.
        words_only: Whether turns begin with ordinary words, so that the family is known by an answer left open.
    """

    name: str
    opening: re.Pattern[str]
    closings: tuple[str, ...] = ()
    padded: bool = False
    system_first: bool = False
    words_only: bool = False


def _format(name: str, opening: str, *closings: str, **more: bool) -> ChatFormat:
    return ChatFormat(name=name, opening=re.compile(opening), closings=closings, **more)


HARMONY: Final = _format(
    "gpt-oss",
    r"<\|start\|>(?P<role>\w+)(?:<\|channel\|>(?P<channel>\w+)|(?=<\|message\|>|\Z))(?:<\|message\|>|\Z)",
    "<|end|>",
    "<|return|>",
)
"""The only family whose answer has parts, called channels."""

CHAT_FORMATS: Final = (
    _format("ChatML", r"<\|im_start\|>(?P<role>\w+)(?:\r?\n|<\|im_sep\|>|\Z)", "<|im_end|>"),
    _format("Kimi", r"<\|im_(?P<role>system|user|assistant)\|>[^<>\n]{0,64}<\|im_middle\|>", "<|im_end|>"),
    _format(
        "Llama 3",
        r"<\|start_header_id\|>(?P<role>\w+)<\|end_header_id\|>(?:(?:\r?\n){2}|\Z)",
        "<|eot_id|>",
        "<|eom_id|>",
    ),
    _format("Llama 4", r"<\|header_start\|>(?P<role>\w+)<\|header_end\|>(?:(?:\r?\n){2}|\Z)", "<|eot|>", "<|eom|>"),
    _format("Gemma", r"<start_of_turn>(?P<role>\w+)(?:\r?\n|\Z)", "<end_of_turn>"),
    _format("Gemma 4", r"<\|turn>(?P<role>\w+)(?:\r?\n|\Z)", "<turn|>"),
    _format(
        "Phi, Zephyr, GLM, Falcon, Tülu and Jamba",
        r"(?:<\|bom\|>)?<\|(?P<role>system|user|assistant|tool|observation)\|>",
        "<|end|>",
        "<|endofturn|>",
        "<|eom|>",
        "</s>",
        "<|endoftext|>",
        padded=True,
    ),
    _format(
        "Mistral and Llama 2",
        r"(?P<role>\[INST\]|\[/INST\]|\[SYSTEM_PROMPT\])",
        "</s>",
        "[/SYSTEM_PROMPT]",
        padded=True,
    ),
    _format(
        "DeepSeek and Hunyuan",
        r"<[|｜](?:hy_)?(?P<role>System|User|Assistant)[|｜]>",
        "<｜end▁of▁sentence｜>",
        "<|end_of_sentence|>",
        padded=True,
        system_first=True,
    ),
    HARMONY,
    _format(
        "Command",
        r"<\|START_OF_TURN_TOKEN\|><\|(?P<role>SYSTEM|USER|CHATBOT)_TOKEN\|>",
        "<|END_OF_TURN_TOKEN|>",
    ),
    _format("Granite", r"<\|start_of_role\|>(?P<role>\w+)(?: \{[^<>]{0,200}\})?<\|end_of_role\|>", "<|end_of_text|>"),
    _format("EXAONE", r"\[\|(?P<role>system|user|assistant|tool)\|\]", "[|endofturn|]", padded=True),
    _format("Seed", r"<seed:bos>(?P<role>\w+)\r?\n", "<seed:eos>"),
    _format("MiniMax", r"\]~b\](?P<role>\w+)\r?\n", "[e~[", padded=True),
    _format("Nemotron", r"<(?:extra_id|SPECIAL)_1?[01]>(?P<role>\w+)\r?\n", "<SPECIAL_12>", padded=True),
    _format(
        "Apertus",
        r"<\|(?P<role>system|developer|user|assistant)_start\|>",
        *(f"<|{role}_end|>" for role in ("system", "developer", "user", "assistant")),
    ),
    _format(
        "OpenChat",
        r"GPT4 Correct (?P<role>System|User|Assistant):",
        "<|end_of_turn|>",
        padded=True,
        words_only=True,
    ),
    _format(
        "Alpaca",
        r"### ?(?P<role>System|User|Human|Instruction|Assistant|Response):",
        "</s>",
        padded=True,
        system_first=True,
        words_only=True,
    ),
    _format(
        "Vicuna",
        r"(?:\[Round \d{1,4}\] )?(?P<role>SYSTEM|USER|ASSISTANT):",
        "</s>",
        "</longcat_s>",
        padded=True,
        system_first=True,
        words_only=True,
    ),
    _format(
        "User and Assistant",
        r"(?P<role>System|User|Human|Assistant):",
        "</s>",
        "<|separator|>",
        "<｜end▁of▁sentence｜>",
        padded=True,
        system_first=True,
        words_only=True,
    ),
    _format(
        "ChatML and Gemma, decoded without their marks",
        r"(?m:^)(?P<role>system|user|assistant|model)\n",
        padded=True,
        words_only=True,
    ),
)
"""Formats in the order in which they are tried; the first whose opening begins the text is used."""

_PADDING: Final = (
    "<pad>",
    "[PAD]",
    "<PAD>",
    "<|pad|>",
    "<|padding|>",
    "<|endoftext|>",
    "<|finetune_right_pad_id|>",
    "<|finetune_right_pad|>",
    "<|vision_pad|>",
    "<|fim_pad|>",
    "<|PAD_TOKEN|>",
    "<｜▁pad▁｜>",
    "<unk>",
)
_BEGINNINGS: Final = (
    "<s>",
    "<bos>",
    "[BOS]",
    "[CLS]",
    "<BOS_TOKEN>",
    "<|begin_of_text|>",
    "<|startoftext|>",
    "<|begin_of_sentence|>",
    "<｜begin▁of▁sentence｜>",
    "<｜hy_begin▁of▁sentence｜>",
    "[gMASK]",
    "[gMASK]sop",
    "<sop>",
    "]~!b[",
)
_ENDINGS: Final = (
    "</s>",
    "<eos>",
    "[EOS]",
    "[SEP]",
    "<EOS_TOKEN>",
    "<|end_of_text|>",
    "<|eos|>",
    "<|EOT|>",
    "<｜hy_place▁holder▁no▁2｜>",
    "<eop>",
    "<|stop|>",
    "<|endofturn|>",
)
_MOST_TOKENS: Final = 2**16
"""The most padding around a text; what has more is refused, since it is no answer of a model."""
_NEXT_TURNS: Final = ("<|user|>", "<|observation|>")
"""GLM ends an answer by the token that begins the next turn."""


def _any_of(tokens: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(set(tokens), key=len, reverse=True)))


_CLOSINGS: Final = tuple(closing for chat in CHAT_FORMATS for closing in chat.closings)


def _many(tokens: Iterable[str]) -> re.Pattern[str]:
    """White space and some of the tokens. Possessive, so that skipping a lot of white space takes no memory."""
    return re.compile(rf"(?:\s*+(?:{_any_of(tokens)})){{0,{_MOST_TOKENS}}}+\s*+")


BEFORE: Final = _many((*_BEGINNINGS, *_ENDINGS, *_PADDING))
"""What may stand before a text."""
AFTER_REVERSED: Final = _many(token[::-1] for token in (*_CLOSINGS, *_ENDINGS, *_NEXT_TURNS, *_PADDING, *_BEGINNINGS))
"""What may stand after a text, read from its end, which takes time that grows with it and not with the text."""
AROUND_ANSWERS: Final = re.compile(r"<\|(?:(?:START|END)_(?:RESPONSE|TEXT)|(?:begin|end)_of_(?:solution|box))\|>")
"""What some families write around the part of an answer that follows the thought."""
BESIDE_ANSWERS: Final = ("[END FINAL RESPONSE]", "<seed:cot_budget_reflect>", "</seed:cot_budget_reflect>")
"""What Apriel writes after it, and Seed inside the thought."""

_WORDS: Final = (
    "im|start|end|begin|eo[tsmdp]|bo[tsmd]|EO[TSMDP]|BO[TSMD]|header|system|user|assistant|model|bot|human|ai|chatbot|"
    "developer|tool|function|observation|turn|text|message|channel|pad|padding|sep|mask|python|role|response|prompt|"
    "call|constrain|return|instruction|System|User|Assistant|Bot|Human|(?:start|end|begin)of[a-z]+"
)
_TAGS: Final = (
    r"/?(?:start|end|begin|beginning)_of_[a-z]{1,30}|(?:BOS|EOS)_TOKEN|(?:bos|eos|pad|sep|cls|unk|eop|sop|eoh|eoa|eom|eot)"
    r"|/?(?:seed:|longcat_)\w{1,30}|/?tool_(?:calls?|responses?)|_(?:start|end|system|user|bot)|/?co: ?\d[\d,]{0,80}"
    r"|(?:extra_id|SPECIAL|reserved|reserved_special_token)_\d{1,5}|unused\d{1,4}|用户|B_SYS|B_FUNC|C_[QA]"
)
MARKUP: Final = re.compile(
    r"<(?:"
    rf"\|(?=[/\w])(?:/?(?:{_WORDS}|\w{{1,20}}[_:]\w{{1,40}})\|>|(?:turn|tool\w{{0,20}}|channel|image|audio)>)"
    r"|(?<!\|<)\|/?[A-Za-z]{4,40}\|>(?!\|)"
    r"|｜[^｜<>\n]{1,40}｜>|(?:turn|tool\w{0,20}|channel|image|audio)\|>|</?SYS>>"
    rf"|(?:{_TAGS})>"
    r"|role>(?:HUMAN|ASSISTANT|SYSTEM|OBSERVATION)<|(?:问|答|病人|HuatuoGPT)>[:\uff1a]"
    r")"
    r"|\[(?:/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|MODEL_SETTINGS|gMASK)\]"
    r"|\|(?:[Ss]ystem|[Uu]ser|[Aa]ssistant|[Hh]uman|AI|tool|endofturn)\|\]|e~\[)"
    r"|\]~!?b[\][]"
    r"|GPT4 Correct (?:User|Assistant):|BEGINNING OF CONVERSATION: USER:|\[Round \d{1,4}\]\s{1,4}问\uff1a"
)
"""A mark of the chat templates of any family. Comparisons, tables, HTML and brackets of ordinary text are none."""
