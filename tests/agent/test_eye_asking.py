"""What nodes say: fetches, samples and log lines, against real processes in namespaces."""

import itertools
import os
import signal
import socket
import threading
import time

import pytest
from eye_lab import EyeClient, Lab, address, possible

from faults.agent.eye.fetch import STUCK_S

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not possible(), reason="network namespaces cannot be made here"),
]
PORT = 8080


def answer(body, *lines):
    head = "".join(f"{line}\r\n" for line in ("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *lines))
    return head.encode() + b"\r\n" + body


def serve_one(conn, number, asked=itertools.count()):  # noqa: B008  one counter per process is meant
    """Answer the requests of one connection, each path in its own way."""
    stream = conn.makefile("rb")
    while line := stream.readline():
        method, path, _ = line.decode().split()
        length = 0
        while (header := stream.readline().strip()) != b"":
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        posted = stream.read(length)
        match path:
            case "/who":
                conn.sendall(answer(f"connection {number}".encode()))
            case "/count":
                conn.sendall(answer(str(next(asked)).encode()))
            case "/same":
                conn.sendall(answer(b"always the same"))
            case "/echo":
                conn.sendall(answer(method.encode() + b" " + posted))
            case "/chunked":
                conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for piece in (b"3\r\none\r\n", b"4\r\n two\r\n0\r\n\r\n"):
                    time.sleep(0.02)
                    conn.sendall(piece)
            case "/close":
                conn.sendall(answer(b"bye", "Connection: close"))
                return
            case "/slow":
                time.sleep(0.3)
                conn.sendall(answer(b"at last"))
            case "/hang":
                time.sleep(60)
            case "/giant":
                conn.sendall(answer(b"x" * (2 << 20)))
            case "/large":
                conn.sendall(answer(b"x" * (1 << 20)))
            case "/cut-short":
                conn.sendall(answer(b"hello")[:-1])
                return
            case "/rubbish":
                conn.sendall(b"hello\r\n")
            case "/absent":
                conn.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def server(host="127.0.0.1"):
    listening = socket.create_server((host, PORT))

    def one(conn, number):
        with conn:
            serve_one(conn, number)

    for number in itertools.count():
        conn, _ = listening.accept()
        threading.Thread(target=one, args=(conn, number), daemon=True).start()


@pytest.fixture
def lab():
    made = Lab(3)
    yield made
    made.close()


@pytest.fixture
def eye(lab):
    client = EyeClient(lab)
    yield client
    assert client.close() == 0


def start(lab, eye, i):
    """A server in node i that is ready."""
    pid = lab.fork(i, server)
    end = time.monotonic() + 5
    while fetch(eye, f"n{i}", "/same").get("status") != 200:
        assert time.monotonic() < end
        time.sleep(0.02)
    return pid


def fetch(eye, node, path, timeout=2.0, **more):
    gets = [{"key": "it", "node": node, "port": PORT, "path": path, **more}]
    return eye.ask("fetch", gets=gets, timeout=timeout)["it"]


def test_an_api_on_loopback_is_reached_while_the_link_is_cut(lab, eye):
    start(lab, eye, 0)
    lab.link(0, "down")
    assert fetch(eye, "n0", "/same")["body"] == "always the same"
    assert fetch(eye, "n1", "/same") | {"at": 0} == {"status": 0, "why": "refused", "at": 0}
    far = fetch(eye, "n1", "/same", host=address(0), timeout=0.3)
    assert far["status"] == 0


def test_the_connection_is_kept_and_opened_anew_when_the_node_closes_it(lab, eye):
    start(lab, eye, 0)
    first = fetch(eye, "n0", "/who")["body"]
    assert fetch(eye, "n0", "/who")["body"] == first
    assert fetch(eye, "n0", "/close")["body"] == "bye"
    assert fetch(eye, "n0", "/who")["body"] != first


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/chunked", {"status": 200, "body": "one two"}),
        ("/slow", {"status": 200, "body": "at last"}),
        ("/absent", {"status": 404, "body": ""}),
        ("/large", {"status": 200, "body": "x" * (1 << 20)}),
        ("/giant", {"status": 0, "why": "too large"}),
        ("/cut-short", {"status": 0, "why": "reset"}),
        ("/rubbish", {"status": 0, "why": "not an answer"}),
    ],
)
def test_answers_of_all_kinds(lab, eye, path, seen):
    start(lab, eye, 0)
    got = fetch(eye, "n0", path)
    assert got.pop("at") > 0
    assert got == seen
    assert fetch(eye, "n0", "/same")["status"] == 200


def test_json_is_posted(lab, eye):
    start(lab, eye, 0)
    assert fetch(eye, "n0", "/echo", post={"a": ["é"]})["body"] == 'POST {"a": ["\\u00e9"]}'
    big = "x" * (600 << 10)  # more than the kernel takes at once
    assert fetch(eye, "n0", "/echo", post=big)["body"] == f'POST "{big}"'


def test_a_hanging_request_disturbs_no_other(lab, eye):
    start(lab, eye, 0)
    start(lab, eye, 1)
    gets = [
        {"key": f"{node}{path}", "node": node, "port": PORT, "path": path}
        for node in ("n0", "n1")
        for path in ("/hang", "/same", "/slow")
    ]
    got = eye.ask("fetch", gets=gets, timeout=1.0)
    assert {k: v.get("body") or v["why"] for k, v in got.items()} == {
        "n0/hang": "timeout",
        "n0/same": "always the same",
        "n0/slow": "at last",
        "n1/hang": "timeout",
        "n1/same": "always the same",
        "n1/slow": "at last",
    }


def test_a_paused_node_times_out_on_one_connection_and_answers_freshly_afterwards(lab, eye):
    pid = start(lab, eye, 0)
    before = int(fetch(eye, "n0", "/count")["body"])
    connection = fetch(eye, "n0", "/who")["body"]
    lab.kill(pid, signal.SIGSTOP)
    for _ in range(4):
        assert fetch(eye, "n0", "/count", timeout=0.1)["why"] == "timeout"
    lab.kill(pid, signal.SIGCONT)
    # One question was under way all the time; its late answer is not taken for the new one's.
    assert fetch(eye, "n0", "/count")["body"] == str(before + 2)
    assert fetch(eye, "n0", "/who")["body"] == connection


def test_a_stuck_connection_is_given_up_in_the_end(lab, eye):
    listening = lab.inside(0, lambda: socket.create_server(("127.0.0.1", PORT)))
    assert fetch(eye, "n0", "/same", timeout=0.1)["why"] == "timeout"
    first = listening.accept()[0]
    assert first.recv(4) == b"GET "
    time.sleep(STUCK_S)
    number = eye.send("fetch", gets=[{"key": "it", "node": "n0", "port": PORT, "path": "/same"}], timeout=2)
    second = listening.accept()[0]
    second.recv(1000)
    second.sendall(answer(b"on a new one"))
    assert eye.reply(number)["ok"]["it"]["body"] == "on a new one"
    for sock in (listening, first, second):
        sock.close()


def test_a_node_that_restarted_answers_in_the_same_round(lab, eye):
    pid = start(lab, eye, 0)
    assert fetch(eye, "n0", "/same")["status"] == 200
    os.kill(eye.pid, signal.SIGSTOP)
    number = eye.send("fetch", gets=[{"key": "it", "node": "n0", "port": PORT, "path": "/same"}])
    lab.kill(pid)
    lab.fork(0, server)
    time.sleep(0.3)
    os.kill(
        eye.pid, signal.SIGCONT
    )  # it finds the question first, and then that the old connection has ended
    assert eye.reply(number)["ok"]["it"]["status"] == 200


def test_an_address_that_cannot_be_reached_is_a_fact(lab, eye):
    lab.inside(0, lambda: os.system("ip route del default"))
    assert fetch(eye, "n0", "/", host="192.0.2.1")["why"] == "unreachable"


def test_samples_tell_what_changed(lab, eye):
    start(lab, eye, 0)
    start(lab, eye, 1)
    far = lab.inside(0, lambda: socket.create_server(("", 4000)))
    questions = [
        {"node": f"n{i}", "port": PORT, "path": p} for i, p in enumerate(["/same", "/count", "/same"])
    ]
    eye.ask("observe", every=0.15, fetch=questions, sockets=True, sweep=True)
    first = eye.event("sample")
    assert first["answers"] == {"n0": True, "n1": True, "n2": "refused"}
    assert set(first["bodies"]) == {"n0", "n1"}
    assert set(first["stamps"]) == {"n0", "n1"}
    assert first["at"] <= first["stamps"]["n0"] <= first["at"] + first["took_s"]
    assert first["sockets"]["listening"] == {"n0": [4000, PORT], "n1": [PORT], "n2": []}
    assert first["reach"] == {"blocks": [["n0", "n1", "n2"]], "cut": []}
    second = eye.event("sample")
    assert second["answers"] == {"n0": True, "n1": True, "n2": "refused"}
    assert int(second["bodies"].pop("n1")) == int(first["bodies"]["n1"]) + 1
    assert (second["bodies"], second["sockets"], second["reach"]) == ({}, None, None)
    near = lab.inside(1, lambda: socket.create_connection((address(0), 4000)))
    changed = eye.event("sample", lambda s: s["sockets"])
    assert [e[:2] for e in changed["sockets"]["edges"]] == [["n0", "n1"]]
    lab.cut((1, 0))
    assert eye.event("sample", lambda s: s["reach"])["reach"]["cut"] == [[1, 0]]
    eye.ask("observe", every=None)
    assert not [e for e in eye.listen(0.4) if e["event"] == "sample"][1:]
    near.close()
    far.close()


def test_a_paused_node_does_not_hold_up_the_samples_and_comes_back(lab, eye):
    pid = start(lab, eye, 0)
    start(lab, eye, 1)
    questions = [{"node": n, "port": PORT, "path": "/count"} for n in ("n0", "n1")]
    eye.ask("observe", every=0.1, fetch=questions, timeout=0.35)
    assert eye.event("sample")["answers"] == {"n0": True, "n1": True}
    lab.kill(pid, signal.SIGSTOP)
    undecided = eye.event("sample", lambda s: "n0" not in s["answers"])
    assert undecided["answers"] == {"n1": True}
    assert eye.event("sample", lambda s: "n0" in s["answers"])["answers"] == {"n0": "timeout", "n1": True}
    lab.kill(pid, signal.SIGCONT)
    back = eye.event("sample", lambda s: s["answers"].get("n0") is True)
    assert "n0" in back["bodies"]
    lab.kill(pid)
    assert eye.event("sample", lambda s: s["answers"].get("n0") is not True)["answers"]["n0"] == "refused"


def test_a_slow_reader_gets_no_backlog_but_the_latest(lab, eye):
    start(lab, eye, 0)
    questions = [
        {"node": "n0", "port": PORT, "path": "/large"},
        {"node": "n0", "port": PORT, "path": "/count", "key": "c"},
    ]
    eye.ask("observe", every=0.05, fetch=questions)
    time.sleep(1)
    counts = [int(s["bodies"]["c"]) for s in eye.listen(0.5) if s["event"] == "sample" and "c" in s["bodies"]]
    assert counts == sorted(set(counts))
    assert counts


@pytest.fixture
def log(tmp_path):
    return tmp_path / "n0.log"


def lines(eye, n):
    return [(e["node"], e["pattern"], e["text"]) for e in (eye.event("line") for _ in range(n))]


def test_declared_lines_of_a_log(eye, log):
    log.write_bytes(b"before: error 1\nnothing\n")
    patterns = {"bad": {"text": "error (1"}, "number": {"match": r"error \d+$"}}
    eye.ask("tail", files={"n0": str(log), "n1": str(log) + ".absent"}, patterns=patterns)
    assert lines(eye, 1) == [("n0", "number", "before: error 1")]
    with log.open("ab") as file:
        file.write(b"a half err")
        file.flush()
        time.sleep(0.3)
        file.write(b"or 22\nerror (1 \xff\r\nerror 3" + b"x" * 600 + b" error 4\n")
    assert lines(eye, 3) == [
        ("n0", "number", "a half error 22"),
        ("n0", "bad", "error (1 \ufffd"),
        ("n0", "number", "error 3" + "x" * 493),
    ]


def test_a_log_that_is_truncated_or_replaced(eye, log):
    log.write_bytes(b"hit 1 and some more text\n")
    eye.ask("tail", files={"n0": str(log)}, patterns={"hit": "hit"})
    assert lines(eye, 1) == [("n0", "hit", "hit 1 and some more text")]
    log.write_bytes(b"hit 2\n")
    assert lines(eye, 1) == [("n0", "hit", "hit 2")]
    with log.open("ab") as file:
        file.write(b"hit 3\n")
        log.rename(log.with_suffix(".old"))
        log.write_bytes(b"hit 4\n")
        file.write(b"hit 3b\n")
    seen = [text for _, _, text in lines(eye, 3)]
    assert seen == ["hit 3", "hit 3b", "hit 4"]


def test_other_patterns_go_on_from_where_the_file_was(eye, log):
    log.write_bytes(b"one\n")
    eye.ask("tail", files={"n0": str(log)}, patterns={"a": "one"})
    assert lines(eye, 1) == [("n0", "a", "one")]
    eye.ask("tail", files={"n0": str(log)}, patterns={"b": "one|two"})
    with log.open("ab") as file:
        file.write(b"two\n")
    assert lines(eye, 1) == [("n0", "b", "two")]
    other = log.with_suffix(".other")
    other.write_bytes(b"one\n")
    eye.ask("tail", files={"n0": str(other)}, patterns={"c": "one|two"}, **{"from": "end"})
    with other.open("ab") as file:
        file.write(b"two\n")
    assert lines(eye, 1) == [("n0", "c", "two")]


def test_a_flood_in_one_log_does_not_lose_a_line_of_another(eye, log, tmp_path):
    log.write_bytes(b"noise " * 20 + b"\n" + b"some noise in the log\n" * 200_000 + b"last\n")
    other = tmp_path / "n1.log"
    other.write_bytes(b"last\n")
    eye.ask("tail", files={"n0": str(log), "n1": str(other)}, patterns={"l": {"text": "last"}})
    assert sorted(lines(eye, 2)) == [("n0", "l", "last"), ("n1", "l", "last")]
