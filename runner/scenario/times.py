"""When steps begin and end, as far as a file can tell, and what of it cannot be: before the start, after the
end, in a circle.

Belongs here: arithmetic on moments that needs no nodes. What the plan makes of them is the plan's
business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from faults.fields import Duration, Moment
from runner.scenario.expectations import Expected, is_trial
from runner.scenario.mentions import Context
from runner.scenario.model import Limits, Step
from runner.scenario.names import Names
from runner.scenario.steps import Draft


@dataclass(frozen=True)
class Times:
    """Seconds on the timeline at which a step begins and ends at the earliest; ``exact`` where it will be
    then.
    """

    start: float
    end: float | None
    exact_start: bool
    exact_end: bool


@dataclass
class _Clock:
    names: Names
    context: Context
    known: dict[str, Times | None] = field(default_factory=dict)

    def seconds(self, duration: Duration | None) -> float | None:
        """The length in seconds; None where there is none or its unit is not known (which is reported
        elsewhere).
        """
        if duration is None:
            return None
        try:
            return duration.seconds(self.names.units)
        except KeyError:
            return None

    def times(self, draft: Draft) -> Times | None:
        """When a step begins and ends; None where nothing can be said."""
        chain = {draft.name: draft}
        last = draft
        while (before := self._stands_on(last)) is not None and before.name not in self.known:
            if before.name in chain:
                self._circle(list(chain), before, last)
                break
            chain[before.name] = last = before
        for one in reversed(chain.values()):
            if one.name not in self.known:
                self.known[one.name] = self._times(one, one.step) if one.step is not None else None
        return self.known[draft.name]

    def _stands_on(self, draft: Draft) -> Draft | None:
        """The other step whose start or end a step's moment counts from."""
        at = draft.step.at if draft.step is not None else None
        if at is None or at.anchor not in ("start", "end"):
            return None
        other = self.names.steps.get(is_trial(at.name)[0])
        return other if other is not draft else None

    def _circle(self, names: list[str], first: Draft, last: Draft) -> None:
        way = " → ".join([*names[names.index(first.name) :], first.name])
        self.context.report.add((*last.loc, "at"), f"steps wait for each other in a circle: {way}")
        self.known.update(dict.fromkeys(names[names.index(first.name) :]))

    def _times(self, draft: Draft, step: Step) -> Times | None:
        at = self.moment(step.at, draft) if step.at is not None else (0.0, step.when is None)
        if at is None:
            return None
        start, exact = at[0], at[1] and step.when is None
        if start < 0:
            self.context.report.add(
                (*draft.loc, "at"),
                f"'{step.at}' is {-start:g}s before the steady state, where the timeline begins",
            )
            return None
        length, exact_length = self.length(step)
        end = None if length is None else start + length
        return Times(start, end, exact, exact and exact_length)

    def length(self, step: Step) -> tuple[float | None, bool]:
        """How long a step lasts at least, trials and all, and whether that is certain; None: to the end of
        the run.
        """
        if step.lasting == "rest":
            return None, True
        lasting = self.seconds(step.lasting if isinstance(step.lasting, Duration) else Duration(0))
        exact = step.until is None and step.roll is None
        length = (0.0 if step.until is not None else lasting or 0.0) + (
            (self.seconds(step.heal.over) or 0.0) if step.heal is not None else 0.0
        )
        if step.repeat is not None:
            length += (step.repeat.times - 1) * (self.seconds(step.repeat.every) or 0.0)
        return length, exact and lasting is not None

    def moment(self, moment: Moment, draft: Draft) -> tuple[float, bool] | None:
        """The earliest second of a moment and whether it is exact."""
        plus = self.seconds(moment.plus)
        if plus is None:
            return None
        plus *= moment.sign
        if moment.anchor == "steady":
            return plus, True
        if moment.anchor in ("next", "nth"):
            return max(0.0, plus), False
        name, trial = is_trial(moment.name)
        other = self.names.steps.get(name)
        if other is None or other is draft:
            return None
        times = self.known.get(name)
        if times is None:
            return None
        return self._of_step(moment, trial, other, times, plus, draft)

    def _of_step(
        self, moment: Moment, trial: int | None, other: Draft, times: Times, plus: float, draft: Draft
    ) -> tuple[float, bool] | None:
        offset = 0.0
        step = other.step
        if trial is not None and step is not None and step.repeat is not None:
            offset = (trial - 1) * (self.seconds(step.repeat.every) or 0.0)
        if moment.anchor == "start":
            return times.start + offset + plus, times.exact_start
        if times.end is None:
            self.context.report.add(
                (*draft.loc, "at"),
                f"'{moment.name}' lasts to the end of the run ('for: rest'): nothing comes after it",
            )
            return None
        if trial is not None and step is not None and step.repeat is not None:
            whole = (step.repeat.times - 1) * (self.seconds(step.repeat.every) or 0.0)
            return times.end - whole + offset + plus, times.exact_end
        return times.end + plus, times.exact_end


def check_times(
    drafts: Sequence[Draft], names: Names, limits: Limits, context: Context
) -> Mapping[str, Times | None]:
    """All that is wrong with the steps' times; returns when each begins and ends."""
    clock = _Clock(names, context)
    most = clock.seconds(limits.time)
    for draft in drafts:
        times = clock.times(draft)
        if draft.step is None:
            continue
        _lengths(draft, draft.step, clock)
        if times is not None and most is not None and times.start >= most:
            context.report.add(
                (*draft.loc, "at" if "at" in draft.raw else "when"),
                f"step '{draft.name}' would begin at {times.start:g}s, and limits.time ends the run "
                f"at {limits.time}",
            )
    return clock.known


def _lengths(draft: Draft, step: Step, clock: _Clock) -> None:
    """What must hold between the lengths in one step."""

    def bad(key: str, message: str) -> None:
        clock.context.report.add((*draft.loc, key), message)

    lasting = clock.seconds(step.lasting) if isinstance(step.lasting, Duration) else None
    if lasting is not None and lasting <= 0:
        bad("for", f"a fault must last longer than {step.lasting}")
        return
    for key, over in (("within", step.within), ("repeat", step.repeat.every if step.repeat else None)):
        if over is not None and clock.seconds(over) == 0:
            bad(key, f"'{over}' is no time at all")
    if step.onset is not None and lasting is not None and (clock.seconds(step.onset.over) or 0) >= lasting:
        bad(
            "onset",
            f"targets come in over {step.onset.over}, and the first goes out after {step.lasting}: "
            "nobody would be hit together",
        )
    if step.flap is not None:
        every, on = clock.seconds(step.flap.every), clock.seconds(step.flap.lasting)
        if every is not None and on is not None and not 0 < on < every:
            bad(
                "flap",
                f"on for {step.flap.lasting} of every {step.flap.every} is no flapping: 'for' must be "
                "less than 'every'",
            )
        elif every is not None and lasting is not None and every > lasting:
            bad("flap", f"one flap takes {step.flap.every}, longer than the step ({step.lasting})")
    if step.repeat is not None and lasting is not None:
        heal = (clock.seconds(step.heal.over) or 0.0) if step.heal is not None else 0.0
        every = clock.seconds(step.repeat.every)
        if every is not None and step.repeat.times > 1 and 0 < every <= lasting + heal and step.until is None:
            bad(
                "repeat",
                f"a trial every {step.repeat.every} begins before the one before ends "
                f"({step.lasting}): they would overlap",
            )


def check_phases(expected: Sequence[Expected], names: Names, context: Context) -> None:
    """``during`` and ``after`` need a step that lasts, and one that ends."""
    clock = _Clock(names, context)
    for one in expected:
        if one.phase not in ("during", "after"):
            continue
        word = one.raw.get(one.phase)
        draft = names.steps.get(is_trial(word)[0]) if isinstance(word, str) else None
        where = (*one.loc, one.phase)
        if word == "faults" and one.phase == "after" and names.steps and _all_to_the_end(names):
            context.report.add(
                where, "every fault lasts to the end of the run ('for: rest'): there is no 'after'"
            )
        if draft is None or draft.step is None:
            continue
        step = draft.step
        if one.phase == "after" and step.lasting == "rest":
            context.report.add(
                where, f"'{draft.name}' lasts to the end of the run ('for: rest'): there is no 'after'"
            )
        elif one.phase == "during" and draft.momentary and step.roll is None:
            context.report.add(where, f"'{draft.name}' ({draft.kind}) is over at once: use 'after'")
        elif one.phase == "during" and one.made is not None:
            _during(one, draft, step, clock, context)


def _all_to_the_end(names: Names) -> bool:
    return all(d.step is not None and d.step.lasting == "rest" for d in names.steps.values())


def _during(one: Expected, draft: Draft, step: Step, clock: _Clock, context: Context) -> None:
    assert one.made is not None
    lasting = clock.seconds(step.lasting) if isinstance(step.lasting, Duration) else None
    if lasting is None or step.roll is not None:
        return
    within = clock.seconds(one.made.within) or 0.0
    if within >= lasting:
        context.report.add(
            (*one.loc, "within"),
            f"within {one.made.within} of a step that lasts {step.lasting}: nothing of '{draft.name}' "
            "would be left to judge",
        )
