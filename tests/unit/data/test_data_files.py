"""Files that are there whole or not at all, and lines that a kill does not cost."""

import gzip
import os
from contextlib import suppress

import pytest

from promedical_data.errors import DataError
from promedical_data.files import appending, is_draft, output_file, whole_file, whole_folder, write_atomically


def test_whole_file_takes_the_place_of_the_old_one_only_when_the_block_ends_well(tmp_path):
    path = tmp_path / "file.txt"
    write_atomically(path, "old")
    with suppress(KeyError), whole_file(path) as stream:
        stream.write(b"half")
        raise KeyError
    assert path.read_text() == "old"
    write_atomically(path, "new, \u00e9")
    assert path.read_bytes() == "new, \u00e9".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_whole_file_keeps_a_link_in_its_place(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_output_file_is_gzipped_by_its_ending_and_the_same_bytes_each_time(tmp_path):
    first, second, plain = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz", tmp_path / "c.jsonl"
    for path in (first, second, plain):
        with output_file(path) as stream:
            stream.writelines(["one\n", "zw\u00f6lf\n"])
    assert gzip.decompress(first.read_bytes()) == plain.read_bytes() == "one\nzw\u00f6lf\n".encode()
    assert first.read_bytes() == second.read_bytes()


def test_output_file_that_cannot_be_written_is_a_data_error_before_the_block_runs(tmp_path):
    for path in (tmp_path / "absent" / "file", tmp_path):
        with pytest.raises(DataError, match=f"{path}: cannot be written: "), output_file(path):
            pytest.fail("the block ran")


def test_whole_folder_appears_when_the_block_ends_well(tmp_path):
    folder = tmp_path / "above" / "folder"
    with suppress(KeyError), whole_folder(folder) as draft:
        (draft / "half").write_text("")
        raise KeyError
    assert list(folder.parent.iterdir()) == []
    with whole_folder(folder) as draft:
        (draft / "whole").write_text("")
        assert not folder.exists()
    assert [path.name for path in folder.iterdir()] == ["whole"]


def test_whole_folder_removes_what_a_killed_process_left(tmp_path):
    child = os.fork()
    if child == 0:
        with whole_folder(tmp_path / "folder") as draft:
            (draft / "half").write_text("")
            os._exit(9)
    os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()
    assert is_draft(left)
    with whole_folder(tmp_path / "folder") as draft:
        assert list(draft.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_appending_drops_only_a_line_that_was_cut_off(tmp_path):
    path = tmp_path / "above" / "lines"
    with appending(path) as stream:
        stream.write(b"one\ntw")
    with appending(path) as stream:
        stream.write(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
