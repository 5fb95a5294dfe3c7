"""Enumerations: the words of `promedical.messages` to and from the numbers of the wire."""

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar, cast

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from promedical.messages import Priority, Role, Truncation
from promedical.reward import ProficiencyMode
from promedical.rubric import Dimension, InvalidField, Polarity
from promedical.v1 import reward_pb2 as pb

Word = TypeVar("Word", bound=str)


class WireEnum(Generic[Word]):
    """One enumeration in both directions. Number 0 is "unspecified" and has no word."""

    def __init__(self, wrapper: object, words: tuple[Word, ...]) -> None:
        enum = cast("EnumTypeWrapper", wrapper)
        prefix = enum.Name(0).removesuffix("UNSPECIFIED")
        self._field = prefix.lower().removesuffix("_")
        self._numbers: Mapping[Word, int] = {word: enum.Value(prefix + str(word).upper()) for word in words}
        self._words: Mapping[int, Word] = {number: word for word, number in self._numbers.items()}

    def number(self, word: Word | None) -> Any:
        """The wire number, an int that the stubs type as their own enumerations; 0 for None.

        Raises:
            InvalidField: It is not a word of this enumeration.
        """
        if word is None:
            return 0
        if word not in self._numbers:
            raise InvalidField(self._field, f"expected one of {', '.join(self._numbers)}")
        return self._numbers[word]

    def optional(self, number: int, path: str) -> Word | None:
        """The word; None if unspecified.

        Raises:
            InvalidField: The number has no word in this version.
        """
        return self.word(number, path) if number else None

    def word(self, number: int, path: str) -> Word:
        """The word.

        Raises:
            InvalidField: The number is unspecified or has no word in this version.
        """
        word = self._words.get(number)
        if word is None:
            expected = ", ".join(f"{number} ({word})" for number, word in self._words.items())
            raise InvalidField(path, f"is {number}; expected one of {expected}")
        return word


DIMENSION: Final = WireEnum[Dimension](pb.Dimension, tuple(Dimension))
POLARITY: Final = WireEnum[Polarity](pb.Polarity, tuple(Polarity))
ROLE: Final = WireEnum[Role](pb.Role, ("system", "user", "assistant"))
PRIORITY: Final = WireEnum[Priority](pb.Priority, ("interactive", "bulk"))
TRUNCATION: Final = WireEnum[Truncation](pb.Truncation, ("none", "response_end", "prompt_start"))
PROFICIENCY_MODE: Final = WireEnum[ProficiencyMode](pb.ProficiencyMode, ("hard", "soft"))
