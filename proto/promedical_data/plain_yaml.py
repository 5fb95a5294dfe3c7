"""YAML read strictly: no key twice in one mapping, of which YAML's own reader takes the last. Pure."""

from typing import Any

import yaml


class RepeatedKeyError(ValueError):
    """A key stands twice in one mapping. The message names the key and the line."""


def read_plain_yaml(text: str) -> Any:
    """What a document holds.

    Raises:
        RepeatedKeyError: A key stands twice in one mapping.
        yaml.YAMLError: It is not YAML.
        RecursionError: It is nested too deeply.
    """
    return yaml.load(text, _Loader)  # noqa: S506 - it is a safe loader


class _Loader(yaml.SafeLoader):
    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        """As YAML's, but a value that is none, such as the date 2027-13-41, is a fault of the document."""
        try:
            return super().construct_object(node, deep)
        except RepeatedKeyError:
            raise
        except (ValueError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """As YAML's, once every key is seen to stand once."""
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                line = key.start_mark.line + 1
                raise RepeatedKeyError(f"{key.value} stands twice, the second time in line {line}; give it once")
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)
