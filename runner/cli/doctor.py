"""``seatrial doctor``.

What this machine can do, and how to get the rest. Every probe really tries it and leaves nothing.
"""

from __future__ import annotations

import json as jsonlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from runner.cli import console
from runner.cli.options import JsonFlag, NoColor
from runner.reports.wording import clean

EPILOG = (
    "\b\nExamples:\n  seatrial doctor\n  seatrial doctor --json\n\n"
    "\b\nExit code 0 if a local trial can run here, else 4."
)
PROBES_WITHIN_S = 30.0
OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Finding:
    """One thing this machine can or cannot do. ``needed`` for local trials; ``remedy`` says how to get it."""

    name: str
    ok: bool
    needed: bool
    detail: str
    remedy: str = ""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG)(doctor)


def doctor(json: JsonFlag = False, no_color: NoColor = False) -> None:
    """Say what this machine can do, and how to get the rest."""
    findings = examine()
    able = all(f.ok for f in findings if f.needed)
    if json:
        text = {"local": able, "findings": [asdict(f) for f in findings]}
        console.out(jsonlib.dumps(text, indent=2, ensure_ascii=False))
    else:
        _print(findings, able, color=not no_color)
    raise typer.Exit(console.HELD if able else console.ABORTED)


def examine() -> list[Finding]:
    """All findings, those that local trials need first."""
    return [_python(), *_kernel(*run_probes()), _agent(), *_rest()]


def _print(findings: Iterable[Finding], able: bool, *, color: bool) -> None:
    paint = console.paint(sys.stdout, wanted=color)
    found = list(findings)
    for needed, title in ((True, "For trials on this machine:"), (False, "For more:")):
        console.out(title)
        for f in (f for f in found if f.needed is needed):
            mark = paint("ok     ", "green") if f.ok else paint("missing", "red" if needed else "yellow")
            console.out(f"  {mark}  {f.name}: {clean(f.detail)}")
            if not f.ok and f.remedy:
                console.out(f"           {f.remedy}")
        console.out()
    console.out(
        "Local trials can run here." if able else "Local trials cannot run here: see what is missing above."
    )


def _python() -> Finding:
    version = platform.python_version()
    ok = sys.version_info >= OLDEST_PYTHON
    return Finding("Python", ok, True, version, "Python 3.11 or newer is needed")


def run_probes() -> tuple[Mapping[str, Any], str]:
    """The results of ``probes``, run as a process, and what it said where it came to no results."""
    argv = [sys.executable, "-m", "runner.cli.probes"]
    import runner

    root = str(Path(runner.__file__).resolve().parent.parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}
    reading, holding = os.pipe()  # the probes end when this end is closed, whatever happens to us
    try:
        done = subprocess.run(
            argv, stdin=reading, capture_output=True, text=True, timeout=PROBES_WITHIN_S, env=env, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {}, f"the probes did not finish: {error}"
    finally:
        os.close(reading)
        os.close(holding)
    with suppress(ValueError):
        return jsonlib.loads(done.stdout), ""
    said = done.stderr.strip().splitlines()
    return {}, said[-1].removeprefix(
        "seatrial: "
    ) if said else f"the probes ended with code {done.returncode}"


def _kernel(results: Mapping[str, Any], refused: str) -> list[Finding]:
    """Findings of the probes; where they could not even enter namespaces, that alone is known."""
    if refused or "namespaces" not in results:
        return [Finding("namespaces", False, True, "refused", refused)]
    rows = (
        ("namespaces", "user, network, process and mount namespaces", True, ""),
        ("links", "virtual links and addresses", True, _modules("veth")),
        ("nftables", "packet filter (cuts)", True, _modules("nf_tables")),
        ("ptrace", "tracing (clock errors)", True, _ptrace_remedy()),
        ("vdso", "clock patch", True, _vdso_remedy()),
        (
            "netem",
            "delay, jitter, reordering in the kernel",
            False,
            _modules("sch_netem", "linux-modules-extra"),
        ),
        ("nfqueue", "delay without netem", False, _modules("nfnetlink_queue and xt_NFQUEUE")),
    )
    return [
        Finding(name, bool(r["ok"]), needed, str(r["detail"]), "" if r["ok"] else remedy)
        for key, name, needed, remedy in rows
        for r in [results.get(key, {"ok": False, "detail": "not tried"})]
    ]


def _agent() -> Finding:
    """Start the real agent, make two nodes, end it: the same way as a trial does."""
    name = "the agent, end to end"
    try:
        from runner.networks.link import AgentLink, LinkError
        from runner.networks.local import AGENT
    except ImportError as error:
        return Finding(name, False, True, f"cannot be loaded: {error}", "install Seatrial again")
    to_agent, from_agent = os.pipe(), os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-E", "-s", str(AGENT)],
            stdin=to_agent[0],
            stdout=from_agent[1],
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(to_agent[0])
        os.close(from_agent[1])
    link = AgentLink(from_agent[0], to_agent[1], lambda event: None)
    try:
        hello = link.greet(within_s=10)
        made = link.request("create", nodes=[_node("a"), _node("b")], within_s=10)["addresses"]
        able = sorted(k for k, v in (hello.get("capabilities") or {}).items() if v)
        detail = f"answers, made {len(made)} nodes" + ("; has " + ", ".join(able) if able else "")
        return Finding(name, True, True, detail)
    except (LinkError, KeyError, TypeError) as error:
        link.close()
        said = _ended(child)
        return Finding(name, False, True, said or str(error), "see what is missing above")
    finally:
        link.close()
        _ended(child)


def _node(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "run": ["true"],
        "env": {},
        "cwd": "/",
        "log": os.devnull,
        "restarts": "never",
        "data": "/",
        "spawner": None,
        "config": {},
    }


def _ended(child: subprocess.Popen[bytes]) -> str:
    """The last line that the agent said; it ends because its input is closed."""
    try:
        _, said = child.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        _, said = child.communicate()
    except ValueError:  # asked before
        return ""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("seatrial: ") if lines else ""


def _rest() -> list[Finding]:
    from shutil import which

    root = os.geteuid() == 0
    out = [
        Finding("root", root, False, "yes" if root else "no", "not needed for local trials"),
        _cgroups(),
    ]
    for program, what in (
        ("ssh", "nodes on other hosts"),
        ("docker", "nodes in containers"),
        ("kubectl", "nodes in a cluster"),
    ):
        path = which(program)
        detail = (
            f"{path} ({what}: drivers of later versions)"
            if path
            else f"not found ({what}: drivers of later versions)"
        )
        out.append(Finding(program, path is not None, False, detail, "nothing needs it yet"))
    return out


def _cgroups() -> Finding:
    """Whether a control group can be made here; one is made and removed again."""
    base = Path("/sys/fs/cgroup")
    with suppress(OSError):
        own = Path("/proc/self/cgroup").read_text()
        unified = next((line.split("::", 1)[1] for line in own.splitlines() if line.startswith("0::")), None)
        top = base if (base / "cgroup.controllers").exists() else base / "unified"
        if unified is not None and (top / "cgroup.controllers").exists():
            made = top / unified.lstrip("/") / f"seatrial-probe-{os.getpid()}"
            made.mkdir()
            made.rmdir()
            return Finding("control groups", True, False, f"v2 under {made.parent}")
    version = "v2" if (base / "cgroup.controllers").exists() else "v1 or none"
    remedy = "as root, or in a delegated group: systemd-run --user --scope -p Delegate=yes (to starve nodes)"
    return Finding("control groups", False, False, f"{version}, not writable", remedy)


def _modules(module: str, package: str = "") -> str:
    more = f" (on Debian and Ubuntu in the package {package})" if package else ""
    return f"as root: modprobe {module.split()[0]}, or a kernel built with {module}{more}"


def _ptrace_remedy() -> str:
    with suppress(OSError):
        scope = Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip()
        if scope in ("1", "2", "3"):
            value = "0" if scope != "3" else "0 and start the machine again"
            return f"kernel.yama.ptrace_scope is {scope}; as root: sysctl kernel.yama.ptrace_scope={value}"
    return (
        "in a container: --cap-add SYS_PTRACE --security-opt seccomp=unconfined; without it no clock errors"
    )


def _vdso_remedy() -> str:
    if platform.machine() != "x86_64":
        return "clock errors need x86-64; everything else works"
    return "needs tracing, see above; without it no clock errors"
