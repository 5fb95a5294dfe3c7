"""Snippets of the documentation: fenced blocks that are run, and what they print."""

import re
from dataclasses import dataclass

SNIPPET = re.compile(r"^<!-- run -->\n\s*^```(?P<language>python|bash)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
ANSWER = re.compile(r"\A\n<!-- answer -->\n```(?:text|json)\n(?P<printed>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    place: str
    language: str
    code: str
    printed: str | None = None
    """What it prints when the default model answers, where the document says so."""


def snippets_in(text: str, name: str) -> list[Snippet]:
    return [
        Snippet(
            place=f"{name}:{text.count(chr(10), 0, match.start('code')) + 1}",
            language=match["language"],
            code=match["code"],
            printed=answer["printed"] if (answer := ANSWER.match(text[match.end() + 1 :])) else None,
        )
        for match in SNIPPET.finditer(text)
    ]
