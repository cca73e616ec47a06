"""The driver ``local``: processes on this machine, each in a network namespace of its own, joined by a
routed switch.

It starts the agent as a child process, describes the nodes to it and waits until each answers its ready
check. All that touches the kernel is the agent's; when its input closes, everything that it made is gone.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from faults.fault import NodeInfo, Pool
from faults.fields import Targets
from faults.select import select
from runner.networks import commands
from runner.networks.base import Meanwhile, NetworkError, Report, nothing
from runner.networks.description import Group, Network, Setup
from runner.networks.link import AgentLink, LinkError
from runner.networks.ready import wait_ready

AGENT = Path(__file__).resolve().parents[2] / "faults" / "agent" / "__main__.py"
DEVNET_PORTS = {"p2p": 7000, "status": 7001}
EXIT_WITHIN_S = 10.0


def describe_nodes(network: Network) -> tuple[NodeInfo, ...]:
    """Every node of the network in its order, without addresses."""
    out: list[NodeInfo] = []
    for group in network.groups:
        for i, name in enumerate(group.members):
            zone = group.zones[i] if group.zones else ""
            stake = group.stakes[i] if group.stakes else 1.0
            out.append(NodeInfo(name, group.name, len(out) + 1, zone=zone, stake=stake))
    return tuple(out)


class LocalDriver:
    """A network of processes on this machine; see ``Driver`` for the contract."""

    def __init__(self, network: Network, *, folder: str) -> None:
        self.network = network
        self.nodes: Sequence[NodeInfo] = describe_nodes(network)
        self.link: AgentLink
        self._base = Path(folder)
        self._run: Path
        self._meanwhile: Meanwhile = nothing
        self._agent: subprocess.Popen[bytes] | None = None
        self._saved: dict[str, dict[str, str]] = {n.name: {} for n in self.nodes}
        self._shared: dict[str, str] = {}

    def open(self, folder: Path, *, on_event: Callable[[Mapping[str, Any]], None]) -> None:
        """Start the agent, the namespaces and the links; no process of the network runs yet."""
        self._run = folder.resolve()
        for part in ("data", "logs"):
            (self._run / part).mkdir(exist_ok=True)
        complaints = self._run / "logs" / "agent.log"
        to_agent, from_agent = os.pipe(), os.pipe()
        with complaints.open("wb") as errors:
            self._agent = subprocess.Popen(
                [sys.executable, "-E", "-s", str(AGENT)],
                stdin=to_agent[0],
                stdout=from_agent[1],
                stderr=errors,
                start_new_session=True,
                cwd="/",
            )
        os.close(to_agent[0])
        os.close(from_agent[1])
        self.link = AgentLink(from_agent[0], to_agent[1], on_event)
        try:
            self.link.greet()
            addresses = self.link.request(
                "create", nodes=[self._described(n, []) for n in self.nodes], within_s=60
            )["addresses"]
        except LinkError as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._agent.wait(2)
            said = complaints.read_text(errors="replace").strip().splitlines()
            raise NetworkError(
                said[-1] if said else f"the local network could not be made: {error}"
            ) from None
        self.nodes = tuple(replace(n, address=addresses[n.name]) for n in self.nodes)

    def start(self, report: Report, meanwhile: Meanwhile = nothing) -> None:
        """Set-up commands, then the groups in order, each when the one before is ready."""
        self._meanwhile = meanwhile
        for group in self.network.groups:
            for name in group.members:
                (self._run / "data" / name).mkdir(exist_ok=True)
        try:
            for item in self.network.setup:
                self._set_up(item)
            self._start_spawner()
            self.link.request(
                "describe", nodes=[self._described(n, self._words(n)) for n in self.nodes], within_s=60
            )
            for group in self.network.groups:
                if not group.waits:
                    self._start_group(group, report)
        except commands.UnknownName as error:
            raise NetworkError(str(error)) from None
        except LinkError as error:
            raise NetworkError(f"the agent: {error}") from None

    def close(self) -> list[str]:
        """Heal, end every process, and wait until the agent is gone."""
        left: list[str] = []
        if self._agent is None:
            return left
        with contextlib.suppress(LinkError):  # its end takes everything along, which is checked below
            left += self.link.request("bye", within_s=EXIT_WITHIN_S)["left"]
        self.link.close()
        try:
            self._agent.wait(EXIT_WITHIN_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._agent.pid, signal.SIGKILL)
            self._agent.wait()
            left.append("the agent had to be killed")
        self._agent = None
        return left

    def group_of(self, name: str) -> Group:
        """The group of a node."""
        return next(g for g in self.network.groups if name in g.members)

    @property
    def agent_pid(self) -> int:
        """The pid of the process whose end takes everything along."""
        if self._agent is None:
            raise NetworkError("the network is not open")
        return self._agent.pid

    def data_of(self, name: str) -> Path:
        """The data folder of a node."""
        return self._run / "data" / name

    def log_of(self, name: str) -> Path:
        """The log file of a node: its standard output and error."""
        return self._run / "logs" / f"{name}.log"

    # -- what nodes are

    def _chosen(self, targets: Targets) -> Sequence[str]:
        return select(targets, Pool(tuple(self.nodes), random.Random(0)))

    def _values(self, *, early: bool = False) -> dict[str, dict[str, str]]:
        """What every node's commands may name.

        ``early``: during set-up, when a list may lack what is still to be saved.
        """
        by_group = {name: g for g in self.network.groups for name in g.members}
        run = str(self._run)
        everyone = {
            n.name: commands.values_of(
                n,
                run=run,
                data=str(self.data_of(n.name)),
                ports=by_group[n.name].ports,
                saved={**self._shared, **self._saved[n.name]},
            )
            for n in self.nodes
        }
        for group in self.network.groups:
            try:
                lists = commands.lists_of(group, everyone, self._chosen)
            except commands.UnknownName:
                if not early:
                    raise
                lists = {}
            for name in group.members:
                everyone[name] |= lists
        return everyone

    def _words(self, node: NodeInfo) -> list[str]:
        group = self.group_of(node.name)
        everyone = self._values()
        return commands.substitute_all(group.run, everyone[node.name], everyone)

    def _described(self, node: NodeInfo, words: Sequence[str]) -> dict[str, Any]:
        group = self.group_of(node.name)
        env: dict[str, str] = {}
        if node.address:
            everyone = self._values()
            env = {k: commands.substitute(v, everyone[node.name], everyone) for k, v in group.env.items()}
        return {
            "name": node.name,
            "run": list(words),
            "env": {**_inherited(), "HOME": str(self.data_of(node.name)), **env},
            "cwd": str(self._base.resolve()),
            "log": str(self.log_of(node.name)),
            "data": str(self.data_of(node.name)),
            "restarts": group.restarts,
            "spawner": "devnet" if group.use == "devnet" else None,
            "files": self._files(node, group) if words else {},
            "config": self._devnet_config(node, group) if group.use == "devnet" and node.address else {},
        }

    def _files(self, node: NodeInfo, group: Group) -> dict[str, str]:
        """What the node finds in its data folder: its sources with the references put in."""
        everyone = self._values() if group.files else {}
        out = {}
        for name, source in group.files.items():
            path = self._base / commands.substitute(source, everyone[node.name], everyone)
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is no text"
                raise NetworkError(
                    f"{node.name}: 'files' names {path}, which cannot be read: {why}"
                ) from None
            out[name] = commands.substitute(text, everyone[node.name], everyone)
        return out

    def _devnet_config(self, node: NodeInfo, group: Group) -> dict[str, Any]:
        builtin = [n for n in self.nodes if self.group_of(n.name).use == "devnet"]
        boot = self.group_of(builtin[0].name)
        peers = [n for n in builtin if n.name in boot.members] if len(self.network.groups) > 1 else builtin
        layer = group.options.get("layer")
        return {
            "name": node.name,
            "index": node.index,
            "address": node.address,
            "port": DEVNET_PORTS["p2p"],
            "status_port": DEVNET_PORTS["status"],
            "peers": {n.name: n.address for n in peers if n.name != node.name},
            "nodes": {n.name: {"address": n.address, "stake": n.stake} for n in builtin},
            "genesis": self.link.hello["wall_ns"] / 1e9,
            "layer": layer.seconds() if layer is not None else 1.0,
            "bugs": list(group.bugs),
            "bugs_path": str((self._base / group.bugs_path).resolve()) if group.bugs_path else None,
            "data": str(self.data_of(node.name)),
        }

    @property
    def genesis_at(self) -> float | None:
        """When the built-in network's first layer begins, on the agent's clock; None for other networks."""
        return self.link.hello["now"] if any(g.use == "devnet" for g in self.network.groups) else None

    # -- making it run

    def _start_spawner(self) -> None:
        if not any(g.use == "devnet" for g in self.network.groups):
            return
        self.link.request(
            "spawner",
            name="devnet",
            argv=[sys.executable, "-s", "-m", "runner.devnet.spawner"],
            env={**_inherited(), "PYTHONPATH": str(AGENT.parents[2])},
            cwd="/",
            log=str(self._run / "logs" / "spawner.log"),
        )

    def _start_group(self, group: Group, report: Report) -> None:
        count = len(group.members)
        report(f"starting {group.name}: {count} node{'s' if count > 1 else ''}")
        reply = self.link.request("start", nodes=list(group.members), within_s=60)
        errors = reply.get("errors", {})
        for name in (n for n in group.members if n in errors):
            raise NetworkError(f"{name} could not be started: {errors[name]}")
        wait_ready(self, group, self._meanwhile)

    def _set_up(self, item: Setup) -> None:
        if item.targets is None:
            self._set_up_once(item, None)
            return
        for name in self._chosen(item.targets):
            self._set_up_once(item, name)

    def _set_up_once(self, item: Setup, name: str | None) -> None:
        everyone = self._values(early=True)
        values = everyone[name] if name else {"run": str(self._run), **self._shared}
        if item.copy is not None:
            source, target = (commands.substitute(t or "", values, everyone) for t in (item.copy, item.to))
            self._copy(self._base / source, Path(target))
            return
        words = commands.substitute_all(item.run, values, everyone)
        log = self._run / "logs" / "setup.log"
        reply = self.link.request(
            "command",
            argv=words,
            env=_inherited(),
            cwd=str(self._base.resolve()),
            node=name,
            log=str(log),
            timeout=120,
            within_s=130,
            meanwhile=self._meanwhile,
        )
        if reply["code"]:
            tail = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
            said = f": {tail[0][:300]}" if tail else ""
            raise NetworkError(f"set-up command '{' '.join(words)}' failed with code {reply['code']}{said}")
        if item.save:
            kept = reply["out"].strip()
            (self._saved[name] if name else self._shared)[item.save] = kept

    def _copy(self, source: Path, target: Path) -> None:
        try:
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        except OSError as error:
            raise NetworkError(f"cannot copy {source} to {target}: {error.strerror}") from None


def _inherited() -> dict[str, str]:
    """What nodes see of our environment: enough to find programs, nothing of a person's."""
    return {k: os.environ[k] for k in ("PATH", "LANG", "LC_ALL", "TZ") if k in os.environ} | {
        "HOME": "/nonexistent"
    }
