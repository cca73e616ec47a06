"""``doctor``: real probes on this machine, as root and as nobody, and what it says of what is refused."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli import doctor
from tests import public


@pytest.mark.lab
def test_on_this_machine(program):
    done = program("doctor", "--json")
    said = json.loads(done.stdout)
    found = {f["name"]: f for f in said["findings"]}
    assert found["Python"]["ok"]
    needed = [f for f in said["findings"] if f["needed"]]
    assert said["local"] is all(f["ok"] for f in needed)
    assert done.returncode == (0 if said["local"] else 4)
    assert all(f["ok"] or f["remedy"] for f in said["findings"])
    for name in (
        "virtual links and addresses",
        "packet filter (cuts)",
        "tracing (clock errors)",
        "clock patch",
    ):
        assert found[name]["ok"], found[name]


@pytest.mark.lab
def test_leaves_nothing():
    link = subprocess.run(["ls", "/sys/class/net"], capture_output=True, text=True, check=True).stdout
    results, refused = doctor.run_probes()
    assert not refused
    assert set(results) == {"namespaces", "links", "nftables", "ptrace", "vdso", "netem", "nfqueue"}
    assert subprocess.run(["ls", "/sys/class/net"], capture_output=True, text=True, check=True).stdout == link
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    assert not children.exists() or "probes" not in children.read_text()


@pytest.mark.root
def test_as_nobody_with_home_unset():
    """Nobody may be unable to read this interpreter: then the system's runs, with our modules."""
    nobody = pwd.getpwnam("nobody")

    def become():
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)

    env = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    env["PYTHONPATH"] = os.pathsep.join(map(str, (public.checkout(), public.packages())))
    pythons = [sys.executable, shutil.which("python3", path="/usr/bin") or ""]
    for python in filter(None, pythons):
        asked = [python, "-c", "import sys; sys.exit(sys.version_info[:2] != tuple(map(int, sys.argv[1:])))"]
        if subprocess.run([*asked, *map(str, sys.version_info[:2])], check=False).returncode:
            pytest.skip("the system's interpreter is of another version than the installed modules")
        try:
            done = subprocess.run(
                [python, "-m", "runner.cli.main", "doctor", "--json"],
                capture_output=True,
                text=True,
                env=env,
                cwd="/",
                preexec_fn=become,
                timeout=60,
                check=False,
            )
        except PermissionError:
            continue
        assert "Traceback" not in done.stderr
        said = json.loads(done.stdout)
        assert done.returncode == (0 if said["local"] else 4)
        details = {f["name"]: f["detail"] for f in said["findings"]}
        assert details["root"] == "no"
        return
    pytest.skip("no interpreter that nobody may run")


def test_refused_namespaces_come_with_their_remedy(call, monkeypatch):
    refusal = "AppArmor forbids ordinary users to make user namespaces; run as root, or: sudo sysctl x=0"
    monkeypatch.setattr(doctor, "run_probes", lambda: ({}, refusal))
    monkeypatch.setattr(
        doctor, "_agent", lambda: doctor.Finding("the agent, end to end", False, True, "x", "y")
    )
    done = call("doctor")
    assert done.exit_code == 4
    assert refusal in done.stdout
    assert "Local trials cannot run here" in done.stdout


def test_optional_things_do_not_count(call, monkeypatch):
    needed = ("namespaces", "links", "nftables", "ptrace", "vdso")
    results = {name: {"ok": name in needed, "detail": "x"} for name in (*needed, "netem", "nfqueue")}
    monkeypatch.setattr(doctor, "run_probes", lambda: (results, ""))
    monkeypatch.setattr(doctor, "_agent", lambda: doctor.Finding("the agent, end to end", True, True, "x"))
    done = call("doctor")
    assert done.exit_code == 0
    assert "modprobe sch_netem" in done.stdout
    results["vdso"] = {"ok": False, "detail": "refused"}
    assert call("doctor").exit_code == 4


def test_probes_that_fail_are_said_not_raised(monkeypatch):
    monkeypatch.setattr(doctor.sys, "executable", "/does/not/exist")
    results, refused = doctor.run_probes()
    assert results == {}
    assert "did not finish" in refused
