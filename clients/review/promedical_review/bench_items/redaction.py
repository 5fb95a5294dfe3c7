"""Models that name themselves in their answers, redacted so that raters stay blind. Pure.

Only names of models, and their makers where an answer says who made it, are taken out: "llama" in lower case may be an
animal, and Google may be where a patient searched.
"""

import re
from typing import Final

REDACTED: Final = "[redacted]"

_MODELS: Final = (
    r"Chat-?GPT|GPT-?[2-9](?:[.\-]?[0-9a-z]+)*|GPT4|Claude(?:[ -](?:\d[\w.]*|Opus|Sonnet|Haiku|Instant))*|"
    r"Gemini(?:[ -](?:\d[\w.]*|Pro|Ultra|Flash))*|Google Bard|Bard|Med-?PaLM(?:[ -]?\d)?|PaLM(?:[ -]?\d)?|"
    r"LLaMA(?:[ -]?\d[\w.]*)?|Llama[ -]?\d[\w.]*|Mistral|Mixtral|Qwen[\w.\-]*|DeepSeek[\w.\-]*|Grok(?:[ -]?\d)?|"
    r"Copilot|Bing Chat|Vicuna|Alpaca-\d+B|Baichuan[\w.\-]*|ChatGLM[\w.\-]*|ERNIE(?: Bot)?|HuatuoGPT[\w.\-]*"
)
_MAKERS: Final = (
    r"OpenAI|Anthropic|Google(?: DeepMind| AI)?|DeepMind|Meta(?: AI)?|Microsoft|Mistral AI|Alibaba(?: Cloud)?|xAI|"
    r"Baidu|Tencent|Zhipu(?: AI)?|Moonshot(?: AI)?|Cohere|DeepSeek"
)
_SAYS_MAKER: Final = re.compile(
    rf"\b((?:developed|trained|created|made|built|designed|provided|powered) by )(?:the team at )?(?:{_MAKERS})\b"
)
_NAME: Final = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_MODELS})(?![A-Za-z0-9_])|文心一言|通义千问|讯飞星火|豆包|智谱清言")


def redacted(text: str, model: str = "") -> str:
    """The text without names of models.

    Args:
        text: An answer.
        model: The name of the model that wrote it, which is taken out however it is written.
    """
    text = _SAYS_MAKER.sub(rf"\g<1>{REDACTED}", text)
    text = _NAME.sub(REDACTED, text)
    if len(model) > 3 and any(each.isdigit() for each in model):  # noqa: PLR2004 - shorter ones are words
        text = re.sub(rf"(?<!\w){re.escape(model)}(?!\w)", REDACTED, text, flags=re.IGNORECASE)
    return text
