"""A run told in plain lines: one for each notable event, with the time on the timeline.

``Narrator`` is a pure function of the events with a memory: ``feed`` takes one and returns the lines it is
worth, usually none. Both ``seatrial run`` without a terminal and the last lines of the live view come from
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.reports.scene import Cuts, Scene
from runner.reports.wording import Paint, clean, count, length, names

Event = Mapping[str, Any]

SETUP_EVERY_S = 5.0
"""How often a long start or wait is heard of."""
NEAR_S = 0.005
"""A change is the planned start or end of a step when it was asked for this near to it."""


@dataclass(frozen=True)
class Line:
    """Something worth saying. ``at_s`` is on the timeline, or seconds since the run began where ``setup``;
    tone: good, bad, warn.
    """

    at_s: float
    text: str
    tone: str = ""
    setup: bool = False

    def show(self, paint: Paint) -> str:
        """The line as it is printed."""
        stamp = f"{self.at_s:.1f} s" if self.setup else f"{self.at_s:+.2f} s"
        style = {"good": ("green",), "bad": ("red",), "warn": ("yellow",)}.get(self.tone, ())
        return f"{paint(f'{stamp:>10}', 'dim')}  {paint(self.text, *style)}"


@dataclass
class _Proof:
    """What is still to be seen before a fault counts as in force (or gone): watched pairs, or nodes."""

    trial: str
    claim: str
    of: int
    waits: set[Any]
    began: bool
    since: float = 0.0


@dataclass
class Narrator:
    """Tells a run. ``scene`` is the state so far, for those who show more than lines."""

    scene: Scene = field(default_factory=Scene)
    _through: dict[tuple[str, str], bool] = field(default_factory=dict)
    _proofs: list[_Proof] = field(default_factory=list)
    _seen: dict[tuple[str, Any, bool], float] = field(default_factory=dict)
    _silent: set[str] = field(default_factory=set)
    _said: dict[str, str] = field(default_factory=dict)
    _swept: Mapping[str, Any] | None = None
    _quiet_until: float = 0.0
    _before: Cuts = Cuts()

    def feed(self, event: Event) -> list[Line]:
        """Take in one event and return what is to be said about it."""
        self._before = self.scene.cuts
        self.scene.feed(event)
        tell = getattr(self, f"_on_{event['event']}", None)
        return [] if tell is None else list(tell(event))

    def _line(self, text: str, tone: str = "", at: float | None = None) -> Line:
        """A line about the instant ``at`` of the run's clock (default: now)."""
        moment = self.scene.now if at is None else at
        known = self.scene.timeline(moment)
        return Line(moment if known is None else known, clean(text), tone, setup=known is None)

    # --- before the steady state ------------------------------------------------------------------

    def _on_run(self, event: Event) -> list[Line]:
        if "run" in self._said:  # written again once the nodes have addresses
            return []
        self._said["run"] = "told"
        name = event.get("scenario", {}).get("name", "")
        return [self._line(f"{name}: {count(len(self.scene.names), 'node')}, seed {event.get('seed')}")]

    def _on_started(self, event: Event) -> list[Line]:
        node, why = str(event["node"]), event.get("why", "first")
        if why == "first":
            have, all_ = len(self.scene.started), len(self.scene.names)
            if have == all_:
                self._quiet_until = self.scene.now + SETUP_EVERY_S
                return [self._line(f"all {count(all_, 'node')} started; waiting for the steady state")]
            return self._now_and_then(f"{have} of {all_} nodes started")
        lines = [] if why == "heal" else [self._line(f"{node} was started again ({why})")]
        return lines + self._settle("down", node, began=False)

    def _on_progress(self, event: Event) -> list[Line]:
        return [self._line(str(event.get("text", "")))]

    def _on_problem(self, event: Event) -> list[Line]:
        return [self._line(str(event.get("text", "")), "bad")]

    def _now_and_then(self, text: str) -> list[Line]:
        if self.scene.now < self._quiet_until:
            return []
        first = self._quiet_until == 0.0
        self._quiet_until = self.scene.now + SETUP_EVERY_S
        return [] if first else [self._line(text)]

    def _on_steady(self, event: Event) -> list[Line]:
        interval = (event.get("learnt") or {}).get("interval_s")
        learnt = f" (a block every {length(interval)})" if interval else ""
        return [self._line(f"steady state: the timeline begins{learnt}", "good", self.scene.zero)]

    # --- faults -----------------------------------------------------------------------------------

    def _on_model(self, event: Event) -> list[Line]:
        asked = float(event.get("asked", event["t"]))
        starts = [s for s in self.scene.steps.values() if _near(s.get("start"), asked)]
        ends = [s for s in self.scene.steps.values() if _near(s.get("end"), asked) and s not in starts]
        at = float(event.get("at") or asked)
        lines = [self._line(f"{s['trial']}: {_what(s)}", "warn", at) for s in starts]
        lines += [self._line(f"{s['trial']} ends", "", at) for s in ends]
        for step in starts:
            lines += self._expect(step, began=True, at=at)
        for step in ends:
            self._proofs = [p for p in self._proofs if p.trial != step["trial"]]
            lines += self._expect(step, began=False, at=at)
        return lines + [self._line(f"problem: {p}", "bad", at) for p in _listed(event.get("problems"))]

    def _expect(self, step: Event, *, began: bool, at: float) -> list[Line]:
        """Note what must be seen before the step counts as in force, or as gone."""
        lines: list[Line] = []
        for claim in step.get("claims", ()):
            if claim == "cut":
                old, new = (self._before, self.scene.cuts) if began else (self.scene.cuts, self._before)
                waits: set[Any] = {p for p in self._through if new.severs(*p) and not old.severs(*p)}
            elif claim in ("down", "paused", "clock"):
                waits = set(step.get("targets", ()))
                if not began:
                    waits = {n for n in waits if not self._still(claim, n)}
            else:
                continue
            if waits:
                proof = _Proof(str(step["trial"]), claim, len(waits), waits, began, at)
                self._proofs.append(proof)
                # what is reported while a change is still being made stands in the journal before the change
                for what in sorted(waits):
                    seen = self._seen.get((claim, what, began), float("-inf"))
                    if seen >= at - NEAR_S:
                        lines += self._settle(claim, what, began=began, at=seen)
        return lines

    def _still(self, claim: str, node: str) -> bool:
        """Whether another fault goes on holding the node in the same condition."""
        return self.scene.skewed(node) if claim == "clock" else self.scene.status(node) == claim

    def _settle(self, claim: str, what: Any, *, began: bool, at: float | None = None) -> list[Line]:
        """Tick off something seen; a line for each fault of which that was the last."""
        lines = []
        self._seen[claim, what, began] = self.scene.now if at is None else at
        for proof in list(self._proofs):
            if proof.claim != claim or proof.began is not began or what not in proof.waits:
                continue
            proof.waits.discard(what)
            proof.since = max(proof.since, at or self.scene.now)
            if not proof.waits:
                self._proofs.remove(proof)
                lines.append(self._proved(proof))
        return lines

    def _proved(self, proof: _Proof) -> Line:
        n = proof.of
        if proof.began:
            seen = {
                "cut": f"{n} of {n} watched pairs cut",
                "down": f"{count(n, 'node')} gone",
                "paused": f"{count(n, 'node')} stopped",
                "clock": f"the error measured on {count(n, 'node')}",
            }[proof.claim]
            return self._line(f"{proof.trial} in force (proved: {seen})", "", proof.since)
        seen = {
            "cut": f"{n} of {n} watched pairs pass",
            "down": f"{count(n, 'node')} started again",
            "paused": f"{count(n, 'node')} going on",
            "clock": f"the true time on {count(n, 'node')}",
        }[proof.claim]
        return self._line(f"{proof.trial} healed (proved: {seen})", "", proof.since)

    def _on_beat(self, event: Event) -> list[Line]:
        pair, through = (str(event["pair"][0]), str(event["pair"][1])), bool(event["through"])
        self._through[pair] = through
        return self._settle("cut", pair, began=not through, at=event.get("since"))

    def _on_sweep(self, event: Event) -> list[Line]:
        """Every pair was probed: worth a line where it disagrees with what was commanded, or first agrees
        with a cut.
        """
        running = [n for n in self.scene.names if self.scene.status(n) == "running"]
        both, every = self.scene.cuts.agreement(Cuts.read(event.get("reach")), running)
        if not every or self._swept is self.scene.state:
            return []
        self._swept = self.scene.state
        tone = "" if both == every else "bad"
        return [self._line(f"every pair probed: {both} of {every} pairs that should be cut are cut", tone)]

    def _on_down(self, event: Event) -> list[Line]:
        return self._settle("down", str(event["node"]), began=True)

    def _on_paused(self, event: Event) -> list[Line]:
        return self._settle("paused", str(event["node"]), began=True)

    def _on_resumed(self, event: Event) -> list[Line]:
        return self._settle("paused", str(event["node"]), began=False)

    def _on_clock(self, event: Event) -> list[Line]:
        node, restored = str(event["node"]), bool(event.get("restored"))
        lines = [self._line(f"{node}: {p}", "bad") for p in _listed(event.get("problems"))]
        if not restored and not event.get("offset_ns"):
            return lines  # nobody there whose clock could be read
        return lines + self._settle("clock", node, began=not restored)

    def _on_lapsed(self, event: Event) -> list[Line]:
        node = f" of {event['node']}" if event.get("node") else ""
        return [
            self._line(
                f"lapsed: {event.get('what')}{node}: {event.get('detail', '')}", "bad", event.get("from")
            )
        ]

    def _on_trigger(self, event: Event) -> list[Line]:
        if event.get("met"):
            return [self._line(f"{event['step']}: its condition is met")]
        return [self._line(f"{event['step']}: its condition was not met in time", "bad")]

    # --- nodes ------------------------------------------------------------------------------------

    def _on_exited(self, event: Event) -> list[Line]:
        if event.get("expected"):
            return []
        code = event.get("code")
        how = f"by signal {-code}" if isinstance(code, int) and code < 0 else f"with code {code}"
        return [self._line(f"{event['node']} ended by itself, {how}", "bad")]

    def _on_sample(self, event: Event) -> list[Line]:
        silent = {
            n
            for n, answers in self.scene.answers.items()
            if answers is False and self.scene.status(n) == "running"
        }
        if self.scene.zero is None:
            have, of = sum(a is True for a in self.scene.answers.values()), len(self.scene.names)
            first = next((n for n in self.scene.names if n in silent and self.scene.whys.get(n)), None)
            silence = f" ({first}: {self.scene.whys[first]})" if first else ""
            return self._now_and_then(
                f"waiting for the steady state: {have} of {count(of, 'node')} answer{silence}"
            )
        lost = [n for n in self.scene.names if n in silent - self._silent]
        back = [n for n in self.scene.names if n in self._silent - silent and self.scene.answers.get(n)]
        self._silent = silent
        lines = []
        if lost:
            why = self.scene.whys.get(lost[0])
            verb = "does not answer" if len(lost) == 1 else "do not answer"
            lines.append(self._line(f"{names(lost)} {verb}{f' ({why})' if why else ''}", "warn"))
        if back:
            lines.append(self._line(f"{names(back)} {'answers' if len(back) == 1 else 'answer'} again"))
        return lines

    def _on_log(self, event: Event) -> list[Line]:
        return [self._line(f"{event.get('node')}: {event.get('text', '')}")]

    def _on_missed(self, event: Event) -> list[Line]:
        return [self._line(f"a sample was missed: {event.get('why', '')}", "warn")]

    def _on_lease(self, event: Event) -> list[Line]:
        return [self._line("the lease ran out: everything was healed", "bad")]

    # --- verdicts and the end ---------------------------------------------------------------------

    def _on_standing(self, event: Event) -> list[Line]:
        lines = []
        for row in event.get("expectations", ()):
            name, answer = str(row["name"]), str(row["answer"])
            if not row.get("told", row.get("settled")) or name in self._said:
                continue
            self._said[name] = answer
            recovered = row.get("recovery_s")
            if answer == "held":
                after = f": recovered after {length(recovered)}" if recovered is not None else ""
                lines.append(self._line(f"{name} held{after}", "good"))
            else:
                tone = "bad" if answer == "violated" else "warn"
                lines.append(self._line(f"{name} {answer}: {row.get('reason', '')}", tone))
        return lines

    def _on_heal(self, event: Event) -> list[Line]:
        why = event.get("why")
        return [] if why in ("plan", "end") else [self._line(f"healing everything ({why})", "warn")]

    def _on_healed(self, event: Event) -> list[Line]:
        return [self._line(f"NOT HEALED: {text}", "bad") for text in event.get("left", ())]

    def _on_kept(self, event: Event) -> list[Line]:
        word = str(event.get("verdict", ""))
        tone = {"held": "good", "violated": "bad"}.get(word, "warn")
        lines = [self._line(f"verdict: {word}", tone)]
        lines += [self._line(f"  {reason}", tone) for reason in event.get("reasons", ())]
        return [*lines, self._line("the network is kept running until Ctrl-C or 'seatrial down'", "warn")]

    def _on_end(self, event: Event) -> list[Line]:
        why, detail = event.get("why"), event.get("detail")
        words = "the trial is over" if why == "plan" else f"the trial ended early ({why})"
        return [self._line(f"{words}{f': {detail}' if detail else ''}", "" if why == "plan" else "bad")]


def _near(planned: float | None, asked: float) -> bool:
    return planned is not None and abs(planned - asked) <= NEAR_S


def _what(step: Event) -> str:
    """``partition: a = n1–n4, b = n5–n8``; ``isolate n3: rest = n1 n2``; ``kill n3``; ``text`` (the author's
    words) where the journal has them.
    """
    kind = str(step.get("text") or step.get("kind", ""))
    sides = step.get("sides") or {}
    if sides:
        beside = set(step.get("targets", ())).difference(*sides.values())
        hit = f" {names(n for n in step['targets'] if n in beside)}" if beside else ""
        return f"{kind}{hit}: " + ", ".join(f"{side} = {names(of)}" for side, of in sides.items())
    drawn = "".join(f", {field} {_drawn(field, of)}" for field, of in (step.get("draws") or {}).items() if of)
    return f"{kind} {names(step.get('targets', ()))}{drawn}"


def _drawn(field: str, of: Mapping[str, float]) -> str:
    """What was drawn for the targets: one value, or the least and the most."""
    unit = "ppm" if field == "drift" else " s"
    ends = dict.fromkeys((min(of.values()), max(of.values())))
    return " to ".join(f"{value:+g}{unit}" for value in ends)


def _listed(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list | tuple) else [str(value)] if value else []
