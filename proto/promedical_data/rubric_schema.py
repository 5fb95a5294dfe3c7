"""The JSON Schema of rubric files, for editors that complete and check while one writes. Pure."""

import json
from typing import Any, Final

from promedical.rubric import MAX_ID_CHARACTERS, Dimension, Polarity

_SOMETHING: Final = r"\S"
_IS_PROFICIENCY: Final = {"properties": {"dimension": {"const": str(Dimension.PROFICIENCY)}}}
_IS_SAFETY: Final = {"properties": {"dimension": {"const": str(Dimension.SAFETY)}}}

_CRITERION: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["id", "text", "dimension"],
    "additionalProperties": False,
    "properties": {
        "id": {
            "type": "string",
            "pattern": _SOMETHING,
            "maxLength": MAX_ID_CHARACTERS,
            "description": "Unique in this rubric; answers name the criterion by it.",
        },
        "text": {
            "type": "string",
            "pattern": _SOMETHING,
            "description": "A statement about the response, literally: it is met if it holds as worded.",
        },
        "dimension": {
            "enum": [str(each) for each in Dimension],
            "description": "proficiency: counts in S1 with its weight; excellence: a bonus; safety: a veto, worded as "
            "a violation.",
        },
        "weight": {
            "type": "number",
            "minimum": 0,
            "description": "Only for proficiency; without it, 1. The weights of a rubric are normalised to sum to 1.",
        },
        "polarity": {
            "enum": [str(each) for each in Polarity],
            "description": "Whether a response that meets the criterion is the better for it (positive) or the worse "
            "(negative). Without it: negative for safety, else positive.",
        },
    },
    "allOf": [
        {"if": _IS_PROFICIENCY, "else": {"properties": {"weight": False}}},
        {"if": _IS_SAFETY, "then": {"properties": {"polarity": {"const": str(Polarity.NEGATIVE)}}}},
    ],
}

RUBRIC_SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "ProMedical rubric",
    "description": "What answers are judged by. The file is named ID@VERSION.json or ID@VERSION.toml.",
    "type": "object",
    "required": ["title", "criteria"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "description": "Where this schema is; only editors read it."},
        "title": {"type": "string", "description": "What people call the rubric."},
        "criteria": {"type": "array", "minItems": 1, "items": _CRITERION},
    },
}


def schema_text() -> str:
    """The schema as a file."""
    return json.dumps(RUBRIC_SCHEMA, indent=2) + "\n"
