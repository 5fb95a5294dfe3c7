"""Forty values files on real Helm: they lint strictly, render valid objects whose references resolve, in both Helms.

A quarter of the files with one Helm is for every change; the others, and the second Helm, are a part of CI.
"""

import json

import pytest
from chart import CHART, Manifest, objects, pod_specs, run_helm, template
from schemas import faults
from test_chart_rules import backends, references, scale_targets
from value_files import FILES, SECTIONS, missed, value_files, values_of

KUBE_VERSIONS = ("1.31", "1.33", "1.35", "1.37")
AT_ONCE = 10
"""The files for every change; any choice of any section is in one of them."""
ALL = value_files()
each_file = pytest.mark.parametrize(
    "number",
    [pytest.param(n, marks=[pytest.mark.second_helm] if n >= AT_ONCE else []) for n in range(FILES)],
)


@pytest.fixture
def values(number, tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(values_of(ALL[number])))  # which is YAML
    return file


def version(number):
    return KUBE_VERSIONS[number % len(KUBE_VERSIONS)]


@each_file
def test_file_renders_valid_objects_whose_references_resolve(helm4, number, values):
    manifests = objects(template(helm4, values, version(number)))
    assert [fault for each in manifests if (fault := faults(each, version(number)))] == []
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests]
    assert len(names) == len(set(names))
    assert {(kind, name) for kind, name in wanted(manifests) if not name.startswith("external-")} <= made(manifests)
    for name, port in backends(manifests):
        (ports,) = [m["spec"]["ports"] for m in manifests if (m["kind"], m["metadata"]["name"]) == ("Service", name)]
        assert port in {each["port"] for each in ports} | {each["name"] for each in ports}
    for spec in pod_specs(manifests).values():
        mounts = {m["name"] for c in spec["containers"] for m in c.get("volumeMounts", [])}
        assert mounts <= {volume["name"] for volume in spec["volumes"]}


@pytest.mark.second_helm
@pytest.mark.parametrize("number", range(FILES))
def test_file_lints_strictly_and_renders_the_same_with_both_helms(helm3, helm4, number, values):
    for helm in (helm3, helm4):
        done = run_helm(helm, "lint", "--strict", CHART, "--values", values, "--kube-version", f"{version(number)}.0")
        assert done.returncode == 0, done.stdout + done.stderr
    assert objects(template(helm3, values, version(number))) == objects(template(helm4, values, version(number)))


def test_any_two_choices_meet_in_some_file():
    assert missed(ALL) == set()


def test_files_for_every_change_hold_every_choice():
    held = {choice for file in ALL[:AT_ONCE] for choice in file.items()}
    assert held == {(section, choice) for section, choices in SECTIONS.items() for choice in choices}


def made(manifests: list[Manifest]) -> set[tuple[str, str]]:
    """The objects that there are when the release is there."""
    found = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    found |= {("Secret", m["spec"]["target"]["name"]) for m in manifests if m["kind"] == "ExternalSecret"}
    found |= {("Secret", m["spec"]["secretName"]) for m in manifests if m["kind"] == "Certificate"}
    return found | {("ServiceAccount", "default")}


def wanted(manifests: list[Manifest]) -> set[tuple[str, str]]:
    """What pods and scalers refer to."""
    found = {reference for spec in pod_specs(manifests).values() for reference in references(spec)}
    return found | {(each["kind"], each["name"]) for each in scale_targets(manifests)}
