"""What a reader sees of a text."""

import sys
import unicodedata

import pytest

from promedical.conversation import parse_prompt
from promedical.messages import Message
from promedical.rubric import Criterion, Dimension, InvalidField
from promedical.visible import is_blank, without_marks

INVISIBLE = {
    "white space": " \t\r\n\x0b\x85\u00a0\u1680\u2003\u2028\u2029\u3000",
    "controls": "\x00\x07\x1b\x7f",
    "zero width": "\u200b\u200c\u200d\u2060\ufeff",
    "soft hyphen": "\u00ad",
    "direction": "\u061c\u200e\u200f\u202a\u202e\u2066\u2069",
    "mathematics": "\u2061\u2062\u2063\u2064",
    "annotations": "\ufff9\ufffa\ufffb",
    "variation selectors": "\ufe00\ufe0f\U000e0100\U000e01ef",
    "Mongolian": "\u180b\u180e\u180f",
    "Hangul fillers": "\u115f\u1160\u3164\uffa0",
    "Khmer": "\u17b4\u17b5",
    "Braille": "\u2800",
    "joiner": "\u034f",
    "tags": "\U000e0001\U000e0020\U000e007f",
    "music": "\U0001d159\U0001d173",
    "marks on nothing": "\u0301\u20dd",
    "private": "\ue000\U000f0000",
    "nothing": "",
}


@pytest.mark.parametrize("kind", INVISIBLE)
def test_is_blank_knows_what_shows_nothing(kind):
    assert is_blank(INVISIBLE[kind])
    assert is_blank(INVISIBLE[kind] * 400)
    assert not is_blank(INVISIBLE[kind] * 400 + "4 g")


SHOWN = ["4", ".", "\u00b7", "\u2764\ufe0f", "\U0001f642", "\u0915\u094d", "\u1100", "e\u0301", "\ufffd"]


@pytest.mark.parametrize("text", SHOWN, ids=ascii)
def test_is_blank_lets_whatever_shows_be_an_answer(text):
    assert not is_blank(text)


def test_everything_that_unicode_says_to_ignore_is_taken_out():
    formats = [chr(each) for each in range(sys.maxunicode + 1) if unicodedata.category(chr(each)) == "Cf"]
    assert without_marks("".join(formats)) == ""
    assert without_marks("che\ufe0fst\u180b pa\U000e0100in\u3164") == "chest pain"
    assert without_marks("cafe\u0301 \u0915\u094d") == "cafe\u0301 \u0915\u094d"


@pytest.mark.parametrize("kind", INVISIBLE)
def test_a_prompt_or_criterion_of_which_nothing_shows_is_refused(kind):
    with pytest.raises(InvalidField, match="empty user turn"):
        parse_prompt([Message(role="user", content=INVISIBLE[kind])])
    with pytest.raises(InvalidField, match="text: is empty"):
        Criterion(id="rest", text=INVISIBLE[kind], dimension=Dimension.PROFICIENCY)
