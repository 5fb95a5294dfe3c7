"""The page about installing says what was measured, and what the other files say."""

import json
import math
import re
import tomllib
import zipfile
from pathlib import Path

import pytest

from scripts.bench import install_sizes as sizes
from scripts.bench import neighbours as beside
from scripts.docs import first_policy_table, install_tables
from scripts.docs.generate_docs import generated

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs" / "installing.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder of results that a test writes."""
    monkeypatch.setattr(install_tables, "RESULTS", tmp_path)

    def write(name, content):
        (tmp_path / name).write_text(json.dumps(content))

    return write


def measured(name):
    return json.loads((REPOSITORY / "docs" / "results" / name).read_text())


def test_page_has_the_numbers_of_the_results():
    assert generated(PAGE) == PAGE
    assert PAGE.count("<!-- generated: ") == 2


def test_sizes_in_the_table_are_those_of_the_file(results):
    case = {"date": "2026-01-02", "machine": "Linux", "torch": "9.9.9+cpu", "bytes": {"sdk": 5e7, "service": 1.94e9}}
    results("install-sizes.json", case | {"cuda": {"torch": "9.9.8", "more_bytes": 3e9}})
    text = install_tables.install_sizes()
    assert "| install | with torch 9.9.9+cpu | with torch 9.9.8 for CUDA |" in text
    assert "| `pip install '.[service]'` | 1.9 GB | 4.9 GB |" in text
    assert "| `pip install .`, the SDK | 0.05 GB | the same |" in text


def test_neighbours_in_the_table_are_those_of_the_file(results):
    found = {
        "sdk": {"fits": True},
        "service": {"fits": False, "because": ["torch>=9"]},
        "vllm": {"fits": False, "because": []},
    }
    framework = {"f": {"requirement": "f==1", "beside": found}}
    results("neighbours.json", {"date": "2026-01-02", "uv": "1", "python": "3.12", "frameworks": framework})
    assert "| f | `f==1` | yes | no: `torch>=9` | no |" in install_tables.neighbours()


def test_sizes_are_of_cases_that_the_script_measures():
    kept = measured("install-sizes.json")
    assert tuple(kept["bytes"]) == sizes.EXTRAS
    assert set(sizes.EXTRAS) - {"sdk"} <= PROJECT["optional-dependencies"].keys()
    assert kept["torch"].partition("+")[0] == _locked("torch")


def test_disk_that_the_pages_ask_for_is_what_was_measured():
    """With torch for CUDA and for CPUs, and with the default model's base, in whole GB and rounded up."""
    kept, model = measured("install-sizes.json"), 0.54e9
    service, everything = kept["bytes"]["service"], kept["bytes"]["dev"]
    large, small = (math.ceil((size + model) / 1e9) for size in (service + kept["cuda"]["more_bytes"], service))
    serving = (REPOSITORY / "docs" / "serving.md").read_text(encoding="utf-8")
    assert f"4 GB of memory and {large} GB of disk, or {small} GB with [torch for CPUs]" in serving
    most = math.ceil((everything + kept["cuda"]["more_bytes"] + model) / 1e9)
    assert f"up to {most} GB of disk" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_size_of_an_extra_counts_every_package_that_it_needs_once():
    found = sizes.closure(["httpx>=0.27", "uvicorn", "absent; python_version < '3'"])
    assert {"httpx", "httpcore", "h11", "certifi", "click", "uvicorn"} <= found.keys()
    assert "absent" not in found
    assert sizes.size(found["httpx"]) > 100_000


def test_wheels_of_cuda_are_weighed_without_being_unpacked(tmp_path):
    for name, length in (("torch-2.9.0", 10), ("torch-2.13.0", 1000), ("nvidia_x-1", 500), ("numpy-2", 7)):
        with zipfile.ZipFile(tmp_path / f"{name}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr("file", "0" * length)
    assert sizes.unpacked(sizes.wheels_of_cuda(tmp_path)) == 1500


def test_neighbours_are_the_releases_that_tests_call():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    fetched = set(re.findall(r"(?:openrlhf|verl|ms-swift|verifiers)==[\d.]+", makefile))
    assert fetched <= set(beside.FRAMEWORKS.values())
    kept = {title: each["requirement"] for title, each in measured("neighbours.json")["frameworks"].items()}
    assert kept == beside.FRAMEWORKS
    assert f"trl=={_locked('trl')}" in beside.FRAMEWORKS.values()


def _locked(name):
    return re.search(rf"^{name}==(.+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)[1]


def test_light_sdk_fits_beside_every_framework():
    assert all(each["beside"]["sdk"]["fits"] for each in measured("neighbours.json")["frameworks"].values())


def test_requirements_of_an_extra_are_those_of_the_extras_that_it_stands_on():
    assert beside.requirements(beside.SDK) == PROJECT["dependencies"]
    assert set(beside.requirements("service")) > set(PROJECT["optional-dependencies"]["model"])
    assert not [each for extra in beside.EXTRAS for each in beside.requirements(extra) if each.startswith("promedical")]


def test_index_of_builds_for_cpus_is_the_same_everywhere():
    assert f"--extra-index-url {sizes.CPU_INDEX}" in PAGE
    assert f"extra-index-url = {sizes.CPU_INDEX}" in (REPOSITORY / "docs" / "compose" / "pip.conf").read_text()


def test_every_extra_for_users_is_on_the_page():
    for extra in PROJECT["optional-dependencies"].keys() - {"model", "chart", "docs", "dev"}:
        assert f"'.[{extra}]'" in PAGE, extra


def test_first_policy_is_summed_up_from_its_result():
    change = {"value": 0.25, "low": 0.125, "high": 0.375, "n": 7}
    compared = {"before": change, "after": change, "change": change}
    result = {
        "machine": "2 cores",
        "date": "2026-01-02",
        "versions": "trl 1",
        "seconds": 1200.0,
        "cpu_seconds": 600.0,
        "steps": 30,
        "ends": {"reward": [0.1, 0.3]},
        "held_out": dict.fromkeys(("reward", "proficiency", "characters"), compared),
    }
    text = first_policy_table.first_policy_part(result)
    assert "used 10 minutes of one core's time (20 minutes on the clock" in text
    assert "was 0.10 in the first tenth of the 30 steps and 0.30 in the last" in text
    assert "| reward | 7 | 0.25 (0.12 to 0.38) |" in text


def test_first_policy_that_is_kept_moved_by_more_than_chance():
    kept = json.loads(first_policy_table.RESULT.read_text())
    assert kept["ends"]["reward"][1] > kept["ends"]["reward"][0]
    assert kept["held_out"]["reward"]["change"]["low"] > 0
