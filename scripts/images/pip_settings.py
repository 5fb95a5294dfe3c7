"""This machine's settings of pip that say where packages are."""

import ast
import configparser
import subprocess
import sys
from typing import Final

_OPTIONS: Final = frozenset(
    {"cert", "constraint", "extra-index-url", "find-links", "index-url", "no-index", "proxy", "timeout", "trusted-host"}
)


def pip_settings(listed: str) -> configparser.ConfigParser:
    """A file with one section, from the output of `pip config list`; only settings that say where packages are."""
    settings = configparser.ConfigParser(interpolation=None)
    settings["global"] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        option = key.rpartition(".")[2]
        if option in _OPTIONS:
            settings["global"][option] = ast.literal_eval(value)
    return settings


def pip_config() -> str:
    """What pip says of its settings."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
