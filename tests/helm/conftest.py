"""Helm for the tests of the chart; without it they are skipped by name."""

from pathlib import Path

import pytest
from chart import helm


@pytest.fixture(scope="session")
def helm3() -> Path:
    return _binary(3)


@pytest.fixture(scope="session")
def helm4() -> Path:
    return _binary(4)


@pytest.fixture(scope="session", params=[pytest.param(3, marks=pytest.mark.second_helm), 4], ids=["helm3", "helm4"])
def any_helm(request: pytest.FixtureRequest) -> Path:
    return _binary(request.param)


def _binary(major: int) -> Path:
    found = helm(major)
    if isinstance(found, str):
        pytest.skip(found)
    return found
