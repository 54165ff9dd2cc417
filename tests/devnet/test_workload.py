"""The job's files: real ones, bounded, the same for the same seed."""

import os

import pytest

from devnet import roles, workload
from node import file_stats
from node.problem import Problem


def test_default_job_is_this_machines_standard_library():
    files = workload.choose_files(None, 7)
    assert len(files) == workload.TASKS_DEFAULT
    assert files == workload.choose_files(None, 7)
    assert files != workload.choose_files(None, 8)
    assert [file.name for file in files] == sorted({file.name for file in files})
    for file in files:
        assert 0 < file.size_bytes <= workload.SOURCE_BYTES_MAX
        assert len(workload.read_file(file)) == file.size_bytes


def test_a_folder_is_read_recursively_without_links(tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "deep.txt").write_bytes(b"deep")
    (tmp_path / "a.txt").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "a.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    names = [file.name for file in workload.choose_files(tmp_path, None)]
    assert names == ["a.txt", "b/c/deep.txt"]


def test_jobs_that_cannot_be_done_say_why(tmp_path, monkeypatch):
    with pytest.raises(Problem, match="no regular file"):
        workload.choose_files(tmp_path, None)
    with pytest.raises(Problem, match="no such folder"):
        workload.choose_files(tmp_path / "absent", None)
    for number in range(3):
        (tmp_path / f"{number}").write_bytes(b"x" * 10)
    monkeypatch.setattr(workload, "FILES_MAX", 2)
    with pytest.raises(Problem, match="3 files, one job has 2 at most"):
        workload.choose_files(tmp_path, None)
    monkeypatch.setattr(workload, "FILES_MAX", 3)
    monkeypatch.setattr(workload, "JOB_BYTES_MAX", 29)
    with pytest.raises(Problem, match="30 bytes, one job has 29 at most"):
        workload.choose_files(tmp_path, None)
    monkeypatch.setattr(workload, "FILE_BYTES_MAX", 9)
    with pytest.raises(Problem, match="10 bytes, a file may have 9"):
        workload.choose_files(tmp_path, None)


def test_a_file_that_grew_since_it_was_listed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(workload, "FILE_BYTES_MAX", 9)
    (tmp_path / "file").write_bytes(b"x")
    [file] = workload.choose_files(tmp_path, None)
    (tmp_path / "file").write_bytes(b"x" * 10)
    with pytest.raises(Problem, match="9 bytes at most"):
        workload.read_file(file)


def test_wrong_results_are_counted():
    plain = workload.PlainRun()
    plain.add("a", b"one two\n")
    plain.add("b", b"three")
    lie = roles.lying_file_stats(b"three")
    assert workload.count_wrong(dict(plain.outputs), plain.outputs) == 0
    assert workload.count_wrong({"b": lie}, plain.outputs) == 1
    assert workload.count_wrong({"unknown": lie}, plain.outputs) == 1


def test_liars_agree_on_a_wrong_answer_of_the_right_form():
    data = b"import this\n"
    truth, lie = file_stats.parse(file_stats.stats(data)), roles.lying_file_stats(data)
    assert lie == roles.lying_file_stats(data)
    told = file_stats.parse(lie)
    assert (told.lines, told.sha256) == (truth.lines + 1, truth.sha256)


def test_the_requester_never_lies():
    assert roles.assign_roles(4, ["liar"]) == ("requester", "agent", "agent", "liar")
    assert roles.assign_roles(7, ["liar", "liar"])[0] == "requester"
