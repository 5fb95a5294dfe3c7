"""Counts the fields of a protobuf message before it is parsed: two bytes can ask for an object of a hundred bytes.

It reads tags and lengths only. What is not protobuf is left to the parser, which refuses it in time.
"""

from typing import Final, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

_MORE: Final = 0x80
_MAX_BITS: Final = 70


def holds_more_fields(wire: bytes, kind: type[Message], most: int) -> bool:
    """Whether a message of this kind and all messages inside it together hold more than `most` fields."""
    try:
        return _left(memoryview(wire), cast("Descriptor", kind.DESCRIPTOR), most) < 0
    except (IndexError, ValueError):
        return False


def _left(wire: memoryview, kind: Descriptor, left: int) -> int:
    """What is left of an allowance of fields; below 0 as soon as it is used up."""
    at = 0
    while at < len(wire) and left >= 0:
        tag, at = _varint(wire, at)
        left -= 1
        match tag & 7:
            case 0:
                _, at = _varint(wire, at)
            case 1:
                at += 8
            case 2:
                size, at = _varint(wire, at)
                field = kind.fields_by_number.get(tag >> 3)
                if field is not None and field.message_type is not None:
                    left = _left(wire[at : at + size], field.message_type, left)
                at += size
            case 3 | 4:
                pass  # the content of a group is counted like the rest
            case 5:
                at += 4
            case _:
                raise ValueError("no such wire type")
    return left


def _varint(wire: memoryview, at: int) -> tuple[int, int]:
    """A number with 7 bits per byte, lowest first, and where it ends.

    Raises:
        IndexError: The message ends inside it.
    """
    byte = wire[at]
    if byte < _MORE:
        return byte, at + 1
    value, shift = byte & ~_MORE, 7
    while byte >= _MORE and shift < _MAX_BITS:
        at += 1
        byte = wire[at]
        value |= (byte & ~_MORE) << shift
        shift += 7
    return value, at + 1
