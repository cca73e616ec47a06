"""The journal on disk: whole lines, whatever happens; and reading what is left of it."""

import contextlib
import json
import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.records.journal import JournalError, Reader, Writer, encode

HEAD = {"t": 0.0, "event": "run", "schema": 0, "nodes": []}


def written(path, *events):
    with Writer(path) as journal:
        for event in (HEAD, *events):
            journal.write(event)
    return path


def test_what_is_written_is_read(tmp_path):
    path = written(tmp_path / "j", {"t": 1.5, "event": "sample", "nodes": {"n1": {"facts": {"height": 3}}}})
    assert [e["event"] for e in Reader(path).events()] == ["run", "sample"]


def test_an_event_may_be_written_by_its_name(tmp_path):
    with Writer(tmp_path / "j") as journal:
        journal.write("run", t=0.0, schema=0)
    assert next(Reader(tmp_path / "j").events())["schema"] == 0


def test_time_and_name_come_first_and_json_has_no_nan(tmp_path):
    path = written(tmp_path / "j", {"event": "x", "b": math.nan, "c": {1.0, 2.0}, "t": 1.0, "d": math.inf})
    line = path.read_text().splitlines()[1]
    assert line == '{"t":1.0,"wall":null,"event":"x","b":null,"c":[1.0,2.0],"d":null}'


def test_lines_of_many_threads_stay_whole(tmp_path):
    with Writer(tmp_path / "j") as journal:
        journal.write(HEAD)

        def work(i):
            for k in range(100):
                journal.write("x", t=float(k), who=i, text="y" * 500)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert len(list(Reader(tmp_path / "j").events())) == 601


def test_a_torn_last_line_is_left_out(tmp_path):
    path = written(tmp_path / "j", {"t": 1.0, "event": "x"})
    path.write_bytes(path.read_bytes() + b'{"t":2.0,"wall":nul')
    reader = Reader(path)
    assert len(list(reader.events())) == 2
    assert reader.torn


def test_damage_in_the_middle_is_named_with_its_line(tmp_path):
    path = written(tmp_path / "j", {"t": 1.0, "event": "x"})
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1][:10], lines[1]]) + "\n")
    with pytest.raises(JournalError, match=r"j:2: the journal is damaged here: the line is not JSON"):
        list(Reader(path).events())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the journal is empty"),
        ("hello\n", "j:1: this is no journal: the line is not JSON"),
        ("[1]\n", "j:1: this is no journal: the line is no event"),
        ('{"t": 0, "event": "sample"}\n', "it begins with 'sample' instead of 'run'"),
        ('{"t": 0, "event": "run", "schema": 9}\n', "has schema 9, this program reads 0"),
        ('{"t": "x", "event": "run", "schema": 0}\n', "no time 't'"),
    ],
)
def test_foreign_files_are_refused_in_words(tmp_path, text, words):
    (tmp_path / "j").write_text(text)
    with pytest.raises(JournalError) as error:
        list(Reader(tmp_path / "j").events())
    assert words in str(error.value)


def test_a_place_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(JournalError, match="cannot be written: No such file"):
        Writer(tmp_path / "none" / "j")
    with pytest.raises(JournalError, match="cannot be read"):
        list(Reader(tmp_path / "none").events())


def test_writing_after_close_is_refused(tmp_path):
    journal = Writer(tmp_path / "j")
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.write("x", t=0.0)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(PLAIN)
def test_anything_is_one_line_of_strict_json(value):
    line = encode({"t": 0.0, "event": "x", "value": value})
    assert "\n" not in line
    json.loads(line, parse_constant=lambda c: pytest.fail(c))


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 400), flip=st.integers(0, 400), byte=st.integers(0, 255))
def test_no_torn_or_damaged_journal_crashes_the_reader(tmp_path_factory, cut, flip, byte):
    path = written(
        tmp_path_factory.mktemp("j") / "j", *({"t": float(i), "event": "x", "text": "é"} for i in range(5))
    )
    data = bytearray(path.read_bytes())
    torn = bytes(data[:cut])
    path.write_bytes(torn)
    whole = torn.decode(errors="ignore").splitlines()
    expected = [
        json.loads(line) for line in whole if line.endswith("}") and line.count("{") == line.count("}")
    ]
    if expected:
        assert list(Reader(path).events()) == expected
    else:
        with pytest.raises(JournalError, match="empty"):
            list(Reader(path).events())
    data[min(flip, len(data) - 1)] = byte
    path.write_bytes(data)
    with contextlib.suppress(JournalError):
        list(Reader(path).events())
