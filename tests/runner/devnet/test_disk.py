"""The file that only grows, and what a crash may leave in it."""

from runner.devnet.disk import Disk


def test_what_was_appended_is_read(tmp_path):
    Disk(str(tmp_path)).append([["b", 1], ["v", 2]])
    again = Disk(str(tmp_path))
    again.append([["c", 3]])
    assert again.read() == [["b", 1], ["v", 2], ["c", 3]]


def test_a_torn_end_is_cut_off_and_written_over(tmp_path):
    disk = Disk(str(tmp_path))
    disk.append([["b", 1]])
    with (tmp_path / "chain.log").open("ab") as file:
        file.write(b'["v", 2')
    disk = Disk(str(tmp_path))
    assert disk.read() == [["b", 1]]
    disk.append([["v", 3]])
    assert Disk(str(tmp_path)).read() == [["b", 1], ["v", 3]]


def test_lines_that_make_no_sense_are_passed_over(tmp_path):
    (tmp_path / "chain.log").write_bytes(b'{}\nnonsense\n\xff\n[]\n["b",1]\n')
    assert Disk(str(tmp_path)).read() == [["b", 1]]
