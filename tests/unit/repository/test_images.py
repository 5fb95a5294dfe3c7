"""The images: complete locks with hashes, a base by its digest, and what is said of an image and signed."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from scripts.images import attest, lock_images, pin_base, publish_image
from scripts.images.build_image import lock_of

DOCKERFILE = (lock_images.ROOT / "Dockerfile").read_text(encoding="utf-8")
CONSTRAINED = dict(line.split("==") for line in lock_images.pins())
LOCKS = list(lock_images.locks())
DIGEST = "sha256:" + "a" * 64
BUILD = attest.Build(
    target="service-torch",
    lock="torch-cpu",
    base=f"docker.io/library/python:3.11-slim@{DIGEST}",
    started=datetime.now(UTC),
)
each_lock = pytest.mark.parametrize("name", LOCKS)
each_service = pytest.mark.parametrize("name", [name for name in LOCKS if name not in {"build", "review"}])


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """The version and the hashes of each package."""
    text = (lock_images.LOCKS / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
    found = {}
    for entry in filter(str.strip, entries):
        head = re.match(r"([A-Za-z0-9._-]+)==(\S+)((?: ; [^\\\n]+)?) \\\n", entry)
        assert head, f"{name}: {entry.splitlines()[0]} is not pinned with hashes"
        found[canonicalize_name(head[1])] = (head[2], re.findall(r"--hash=(sha256:[0-9a-f]{64})", entry))
    return found


@each_lock
def test_lock_of_an_image_pins_everything_with_hashes_and_names_no_place(name: str) -> None:
    assert all(hashes for _, hashes in locked(name).values())
    assert "://" not in (lock_images.LOCKS / f"{name}.txt").read_text(encoding="utf-8")


@each_service
def test_lock_of_an_image_satisfies_what_the_service_asks_for(name: str) -> None:
    versions = {package: version for package, (version, _) in locked(name).items()}
    for line in lock_images.project("service"):
        wanted = Requirement(line)
        assert wanted.specifier.contains(versions[canonicalize_name(wanted.name)], prereleases=True), line


@pytest.mark.parametrize("name", ["build", "review", "torch-cpu", "torch-cuda"])
def test_lock_of_an_image_without_vllm_has_the_versions_that_ci_tests(name: str) -> None:
    other = {
        package: version
        for package, (version, _) in locked(name).items()
        if package in CONSTRAINED and Version(version).public != CONSTRAINED[package]
    }
    assert other == {}, "run `make lock-images`"


def test_locks_for_cpus_and_for_cuda_have_their_builds_of_torch() -> None:
    assert locked("torch-cpu")["torch"][0] == locked("vllm-cpu")["torch"][0] == f"{CONSTRAINED['torch']}+cpu"
    assert locked("torch-cuda")["torch"][0] == CONSTRAINED["torch"]
    assert not [package for package in locked("torch-cpu") if package.startswith(("nvidia-", "cuda-"))]
    assert [package for package in locked("torch-cuda") if package.startswith("nvidia-")]
    assert {"vllm", "ray"} <= locked("vllm-cuda").keys()


def test_dockerfile_installs_nothing_that_is_not_locked() -> None:
    installs = re.findall(r"pip (?:install|wheel|download)[^\n]*", DOCKERFILE)
    assert len(installs) >= 4
    assert [line for line in installs if "--no-deps" not in line] == []
    assert [line for line in installs if "--require-hashes" not in line and "--no-index" not in line] == []
    assert "apt-get" not in DOCKERFILE


def test_dockerfile_names_its_base_by_a_digest_that_can_be_renewed() -> None:
    assert attest.default_base().endswith(pin_base.pinned(DOCKERFILE)["digest"])
    renewed = pin_base.renewed(DOCKERFILE, DIGEST)
    assert pin_base.pinned(renewed)["digest"] == DIGEST
    assert renewed.replace(DIGEST, pin_base.pinned(DOCKERFILE)["digest"]) == DOCKERFILE
    with pytest.raises(ValueError, match="ARG BASE=name@sha256:digest"):
        pin_base.pinned("ARG BASE=python:3.11-slim\n")


def test_images_and_tests_have_the_same_vllm() -> None:
    makefile = (lock_images.ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"VLLM_CPU := vllm-cpu=={lock_images.VLLM}\n" in makefile
    assert locked("vllm-cpu")["vllm-cpu"][0] == locked("vllm-cuda")["vllm"][0] == lock_images.VLLM


@pytest.mark.parametrize("target", ["service-torch", "service-vllm"])
@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_every_build_has_a_lock(target: str, accelerator: str) -> None:
    assert lock_of(target, accelerator) in LOCKS
    assert lock_of("review", accelerator) in LOCKS


def test_provenance_says_what_an_image_was_made_from() -> None:
    said = attest.statement("promedical:dev", DIGEST, attest.predicate(BUILD, "c" * 40, dirty=False))
    assert said["subject"] == [{"name": "promedical:dev", "digest": {"sha256": "a" * 64}}]
    assert (said["_type"], said["predicateType"]) == (attest.STATEMENT, attest.PROVENANCE)
    definition = said["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {"target": "service-torch", "lock": "torch-cpu", "base": BUILD.base}
    digests = {each["name"]: each["digest"] for each in definition["resolvedDependencies"]}
    assert digests["source"] == {"gitCommit": "c" * 40}
    assert digests["docker.io/library/python:3.11-slim"] == {"sha256": "a" * 64}
    assert {"Dockerfile", "scripts/images/locks/torch-cpu.txt"} <= digests.keys()


def test_provenance_names_the_commit_that_is_there() -> None:
    revision, _ = attest.commit()
    assert re.fullmatch("[0-9a-f]{40}", revision)
    told = attest.predicate(BUILD, revision, dirty=True)
    assert told["buildDefinition"]["resolvedDependencies"][0] == {
        "name": "source",
        "digest": {"gitCommit": revision},
        "annotations": {"files differ from it": True},
    }
    assert attest.by_digest(BUILD.base) == BUILD.base


def test_linux_packages_are_those_that_are_installed(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('NAME="Debian"\nVERSION_CODENAME=bookworm\n')
    entries = [
        "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9+deb12u10\nDescription: a\n b",
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1",
        "Package: adduser\nStatus: install ok installed\nVersion: 3.134",
    ]
    (tmp_path / "var/lib/dpkg/status").write_text("\n\n".join(entries) + "\n\n")
    assert [(each["name"], each["purl"]) for each in attest.linux_packages(tmp_path)] == [
        ("libc6", "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?distro=bookworm"),
        ("adduser", "pkg:deb/debian/adduser@3.134?distro=bookworm"),
    ]


@pytest.mark.parametrize(
    ("image", "folder"),
    [("promedical:dev", "promedical-dev"), ("localhost/promedical:torch", "promedical-torch"), ("r:5000/a/b:1", "b-1")],
)
def test_files_of_an_image_are_named_after_it(image: str, folder: str) -> None:
    assert attest.folder_of(image) == attest.OUT / folder


def test_published_files_speak_of_the_image_in_the_registry(tmp_path: Path) -> None:
    told = attest.predicate(BUILD, "c" * 40, dirty=False)
    (tmp_path / "provenance.json").write_text(json.dumps(attest.statement("here", "sha256:" + "b" * 64, told)))
    (tmp_path / "sbom.json").write_text(json.dumps({"metadata": {"component": {"name": "here", "type": "container"}}}))
    publish_image.restate(tmp_path, tmp_path / "published", "r/promedical:1", DIGEST)
    said, alone, listed = (
        json.loads((tmp_path / f"published/{name}.json").read_text())
        for name in ("provenance", "provenance-predicate", "sbom")
    )
    assert said["subject"] == [{"name": "r/promedical:1", "digest": {"sha256": "a" * 64}}]
    assert said["predicate"] == alone == told
    assert listed["metadata"]["component"] == {"name": "r/promedical:1", "type": "container", "version": DIGEST}


def test_cosign_signs_the_image_and_attests_both_files(tmp_path: Path) -> None:
    commands = publish_image.signing(f"r/promedical@{DIGEST}", tmp_path, "cosign.key")
    by = ["--yes", "--key", "cosign.key"]
    assert commands == [
        ["cosign", "sign", *by, f"r/promedical@{DIGEST}"],
        *(
            [
                "cosign",
                "attest",
                *by,
                "--type",
                kind,
                "--predicate",
                f"{tmp_path / file}.json",
                f"r/promedical@{DIGEST}",
            ]
            for kind, file in (("slsaprovenance1", "provenance-predicate"), ("cyclonedx", "sbom"))
        ),
    ]
    assert publish_image.signing("r", tmp_path, None)[0] == ["cosign", "sign", "--yes", "r"]


@pytest.mark.parametrize(
    ("name", "repository"),
    [("r/promedical:1", "r/promedical"), ("r:5000/a/promedical:1", "r:5000/a/promedical"), ("r:5000/a", "r:5000/a")],
)
def test_signed_reference_has_the_repository_without_its_tag(name: str, repository: str) -> None:
    assert publish_image.repository(name) == repository
