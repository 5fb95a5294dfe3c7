"""From text to token ids, with a strict border: the template's control tokens are ids, user text is only text.

This module knows a tokenizer file, but no model. Text between two control tokens is encoded in one piece, exactly as
the tokenizer would see it in the whole rendered string; special-token strings inside user text stay ordinary text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from tokenizers import Encoding, Tokenizer, pre_tokenizers, processors

from promedical_model.rendering.token_bound import TokenBound

_BATCH_CHARACTERS: Final = 2**18


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a template: one control token, or text around at most one field."""

    control: int | None = None
    before: str = ""
    has_field: bool = False
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Token ids of one node; `content[i]` says whether token i lies wholly inside user content."""

    ids: tuple[int, ...]
    content: tuple[bool, ...]


class TextEncoder:
    """Encodes template pieces filled with user text. Thread-safe: nothing changes after construction."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)  # it adds nothing and trims nothing
        added = self._tokenizer.get_added_tokens_decoder()
        self._control = {token.content: token_id for token_id, token in added.items() if token.special}

    @classmethod
    def from_file(cls, path: Path) -> "TextEncoder":
        """Read a `tokenizer.json`.

        Raises:
            ValueError: The file is not a tokenizer.
        """
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as error:  # the tokenizers library raises bare Exception
            raise ValueError(f"{path.name} is not a tokenizer file: {error}") from error

    @cached_property
    def bound(self) -> TokenBound:
        """How many tokens a text has at least."""
        added = {token.content for token in self._tokenizer.get_added_tokens_decoder().values()}
        known = [token for token in self._tokenizer.get_vocab() if token not in added]
        to_byte = _bytes_of_characters() if set(pre_tokenizers.ByteLevel.alphabet()) <= set(known) else {}
        normalizer = self._tokenizer.normalizer
        return TokenBound(
            [
                *(token.encode() for token in added),
                *(b"".join(to_byte.get(character, character.encode()) for character in token) for token in known),
            ],
            normalizer.normalize_str if normalizer else None,
        )

    def compile(self, template: str, field: str) -> tuple[Piece, ...]:
        """Split template text at control tokens and at `{field}`.

        Raises:
            ValueError: The text holds something that looks like a control token of another model.
        """
        if not self._control:
            raise ValueError("the tokenizer has no special tokens; a template needs them to keep user text apart")
        parts = re.split("(" + "|".join(map(re.escape, self._control)) + ")", template)
        foreign = [part for part in parts if re.search(r"<\|\w+\|>", part) and part not in self._control]
        if foreign:
            raise ValueError(f"the template uses special tokens that this tokenizer lacks, in {foreign[0]!r}")
        return tuple(self._piece(part, field) for part in parts if part)

    def _piece(self, part: str, field: str) -> Piece:
        if part in self._control:
            return Piece(control=self._control[part])
        before, mark, after = part.partition(field)
        return Piece(before=before, has_field=bool(mark), after=after)

    def single_token(self, word: str) -> int:
        """The id of a word that is exactly one token.

        Raises:
            ValueError: The word is several tokens.
        """
        ids = self._tokenizer.encode(word, add_special_tokens=False).ids
        if len(ids) != 1:
            raise ValueError(f"{word!r} is {len(ids)} tokens in this tokenizer; a score head needs a single token")
        return int(ids[0])

    def encode(self, nodes: Sequence[tuple[Sequence[Piece], Sequence[str]]]) -> list[Encoded]:
        """Encode nodes, each given as pieces and the texts of their fields in order."""
        filled = [list(_fill(pieces, fields)) for pieces, fields in nodes]
        texts = [before + field + after for node in filled for piece, before, field, after in node if piece is None]
        encodings = self._encodings(texts)
        return [_assemble(node, encodings) for node in filled]

    def _encodings(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """In batches: an encoding takes a hundred times the memory of its text until its ids are taken out."""
        batch: list[str] = []
        for text in texts:
            batch.append(text)
            if sum(map(len, batch)) >= _BATCH_CHARACTERS:
                yield from self._tokenizer.encode_batch(batch, add_special_tokens=False)
                batch = []
        yield from self._tokenizer.encode_batch(batch, add_special_tokens=False)


def _bytes_of_characters() -> dict[str, bytes]:
    """What stands for each byte in a byte-level vocabulary: itself if it can be printed, else the next from 256 on."""
    shown = {byte for byte in range(256) if chr(byte) in pre_tokenizers.ByteLevel.alphabet()}
    hidden = [byte for byte in range(256) if byte not in shown]
    stands = {chr(byte): bytes([byte]) for byte in shown}
    return stands | {chr(256 + index): bytes([byte]) for index, byte in enumerate(hidden)}


_Filled = tuple[int | None, str, str, str]


def _fill(pieces: Sequence[Piece], fields: Sequence[str]) -> list[_Filled]:
    rest = iter(fields)
    return [(piece.control, piece.before, next(rest) if piece.has_field else "", piece.after) for piece in pieces]


def _assemble(node: Sequence[_Filled], encodings: Iterator[Encoding]) -> Encoded:
    ids: list[int] = []
    content: list[bool] = []
    for control, before, field, _ in node:
        if control is not None:
            ids.append(control)
            content.append(False)
            continue
        encoding = next(encodings)
        inside = range(len(before), len(before) + len(field))
        ids += encoding.ids
        content += [start in inside and stop - 1 in inside for start, stop in encoding.offsets]
    return Encoded(ids=tuple(ids), content=tuple(content))
