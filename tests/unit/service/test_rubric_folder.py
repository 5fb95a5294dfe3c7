"""The folder of rubrics while it changes: what is taken, what is not, and what is said of it."""

import json
import os

import pytest
import structlog

from promedical_service.rubric_folder import RubricFolder
from promedical_service.settings import ConfigurationError

DOSE = {"id": "dose", "text": "Names the dose.", "dimension": "proficiency"}
HARM = {"id": "harm", "text": "Advises harm.", "dimension": "safety"}


def rubric(*criteria):
    return json.dumps({"title": "House", "criteria": criteria})


@pytest.fixture
def path(tmp_path):
    (tmp_path / "house@1.json").write_text(rubric(DOSE))
    return tmp_path


class Watched:
    """A folder that is looked at when the test says so, and what it told."""

    def __init__(self, path, default="general-medical"):
        self.told = []
        self.folder = RubricFolder(path, default, self.told.append)
        self.first = self.folder.catalog().find("house")

    def look(self, times=2):
        for _ in range(times):
            self.folder._consider(self.folder._look())
        return self.folder.catalog()


def test_folder_takes_a_new_version_and_tells_of_it(path):
    watched = Watched(path)
    (path / "house@2.json").write_text(rubric(DOSE, HARM))
    with structlog.testing.capture_logs() as lines:
        assert watched.look().find("house").rubric.version == "2"
    assert watched.told[-1] is watched.folder.catalog()
    (line,) = lines
    assert (line["log_level"], line["added"], line["changed"], line["removed"]) == ("info", ["house@2"], [], [])


def test_folder_warns_of_new_content_under_an_old_name_and_gives_it_a_new_hash(path):
    watched = Watched(path)
    (path / "house@1.json").write_text(rubric(HARM))
    with structlog.testing.capture_logs() as lines:
        assert watched.look().find("house@1").sha256 != watched.first.sha256
    assert [(line["log_level"], line["changed"]) for line in lines] == [("warning", ["house@1"])]


def test_folder_sees_a_change_of_the_same_size_and_time(path):
    watched, file = Watched(path), path / "house@1.json"
    status = file.stat()
    file.write_text(rubric(DOSE | {"text": "Names its dose!"[: len(DOSE["text"])]}))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert watched.look().find("house@1").sha256 != watched.first.sha256


def test_folder_takes_nothing_that_is_still_being_written(path):
    """The first half of a TOML file is a rubric too, with fewer criteria."""
    watched, file = Watched(path), path / "other@1.toml"
    blocks = [f'[[criteria]]\nid = "c{n}"\ntext = "Says {n}."\ndimension = "excellence"\n' for n in range(3)]
    for count in range(1, 4):
        file.write_text('title = "Slow"\n' + "".join(blocks[:count]))
        assert watched.look(times=1).find("other") is None
    assert len(watched.look(times=1).find("other").rubric.criteria) == 3
    assert len(watched.told) == 2


def _truncate(path):
    (path / "house@1.json").write_text(rubric(DOSE)[:-10])


def _deny(path):
    (path / "house@1.json").unlink()
    (path / "house@1.json").mkdir()


def _name_twice(path):
    (path / "house_1.json").write_text(rubric(HARM))


def _misname(path):
    (path / "house.json").write_text(rubric(HARM))


def _take_away(path):
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


def _leave_out_the_default(path):
    (path / "house@1.json").unlink()


BAD = (_truncate, _deny, _name_twice, _misname, _take_away, _leave_out_the_default)


@pytest.mark.parametrize("spoil", BAD, ids=[spoil.__name__ for spoil in BAD])
def test_folder_that_turns_bad_keeps_the_old_rubrics_and_says_so_once(path, spoil):
    watched = Watched(path, default="house")
    spoil(path)
    with structlog.testing.capture_logs() as lines:
        assert watched.look(times=5).find("house") == watched.first
    assert watched.told[1:] == [None]
    (line,) = lines
    assert (line["log_level"], line["event"]) == ("error", "rubric files not read, the old rubrics stay")
    assert line["reasons"]


def test_folder_that_is_put_right_is_used_again(path):
    watched, good = Watched(path), rubric(DOSE)
    _truncate(path)
    watched.look()
    (path / "house@1.json").write_text(good)
    assert watched.look().find("house") == watched.first
    assert [told is None for told in watched.told] == [False, True, False]


def test_folder_mounted_from_a_configmap_is_read_through_its_links(tmp_path):
    """As the kubelet does it: every name is a link into ..data, a link that is replaced in one step."""
    for number, criterion in enumerate((DOSE, HARM)):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "house_1.json").write_text(rubric(criterion))
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "house_1.json").symlink_to("..data/house_1.json")
    watched = Watched(tmp_path)
    (tmp_path / "..new").symlink_to("..1")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert watched.look().find("house@1").rubric.criteria[0].id == "harm"


def test_folder_names_every_fault_at_the_start(path):
    (path / "second@1.json").write_text("{")
    (path / "third.toml").write_text("")
    with pytest.raises(ConfigurationError) as caught:
        RubricFolder(path, "general-medical")
    first, second = str(caught.value).splitlines()
    assert first.startswith("rubric_dir: second@1.json: ")
    assert second.startswith("rubric_dir: third.toml: expected a file name like")


def test_folder_without_the_default_rubric_is_refused(path):
    with pytest.raises(ConfigurationError, match="default_rubric: there is no rubric nobody; choose one of"):
        RubricFolder(path, "nobody")
