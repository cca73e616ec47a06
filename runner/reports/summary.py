"""The final summary of one run and the table of many: a verdict with its reasons, on one screen.

Everything is taken from the verdict (the content of ``verdict.json``) and is plain text of at most
``width`` columns; colours come from ``Paint``. What is printed while a trial runs is ``progress`` and
``live``.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from runner.reports.wording import Paint, clean, count, fit, length, moment, wrap

Verdict = Mapping[str, Any]

_GRAVITY = {"held": 0, "unknown": 1, "violated": 2}


def summary(
    verdict: Verdict, *, directory: str, width: int = 80, height: int = 24, paint: Paint | None = None
) -> str:
    """One screen about one run: verdict, reasons, expectations, faults, recovery, and where to look further.

    At most ``height`` lines (one is left for the prompt) as long as they can hold the fixed parts, about 12
    lines; rows that do not fit are counted instead. What did not hold is listed first and is never left out
    before what held.
    """
    paint = paint or Paint()
    head, told = _head(verdict, width, paint)
    foot = _foot(verdict, directory, width, paint)
    room = max(height - 1 - len(head) - len(foot), 8)
    faults = _faults(
        verdict.get("faults", ()), width, max(room // 2, room - 4 - len(verdict["expectations"])), paint
    )
    expectations = _expectations(verdict["expectations"], told, width, room - len(faults), paint)
    return "\n".join([*head, *expectations, *faults, *foot]) + "\n"


def _head(verdict: Verdict, width: int, paint: Paint) -> tuple[list[str], list[str]]:
    """The heading's lines, and the reasons that they give (the table below does not say them again)."""
    word = str(verdict["verdict"]).upper()
    name = clean(verdict.get("scenario", {}).get("name", ""))
    right = f"seed {verdict.get('seed')}"
    room = width - len(word) - len(right) - 4
    title = fit(name, room)
    lines = [f"{paint(title, 'bold')}: {paint.verdict(word)}{right:>{width - len(title) - len(word) - 2}}"]
    reasons = [clean(r) for r in verdict.get("reasons", ())]
    for reason in reasons[:3]:
        broken = wrap(reason, width - 4, lines=4 if len(reasons) == 1 else 2)
        lines += [f"  {'- ' if i == 0 else '  '}{part}" for i, part in enumerate(broken)]
    if len(reasons) > 3:
        lines.append(f"  … and {count(len(reasons) - 3, 'more reason')} in verdict.json")
    return lines, reasons[:3]


def _expectations(
    rows: Sequence[Mapping[str, Any]], told: Sequence[str], width: int, room: int, paint: Paint
) -> list[str]:
    """A heading and a line for each; those that did not hold with their reason below unless it was ``told``
    already, as far as ``room`` lines allow.
    """
    if not rows:
        return ["", "  nothing was expected: the verdict is about the faults alone"]
    wide = min(max([len("expectation"), *(len(clean(r["name"])) for r in rows)]), width - 36)
    lines = ["", paint(f"  {'expectation':<{wide}}  {'verdict':<8}  {'recovered':>10}  {'within':>8}", "dim")]
    first = sorted(rows, key=lambda r: -_GRAVITY.get(r["verdict"], 1))
    left = len(first)
    for row in first:
        entry = _expectation(row, wide, width, paint)
        if f"{clean(row['name'])}: {clean(row.get('reason', ''))}" in told:
            entry = entry[:1]
        while len(entry) > 1 and len(lines) + len(entry) + left - 1 > room:
            entry.pop()
        if len(lines) + len(entry) + (left > 1) > room:
            break
        lines += entry
        left -= 1
    if left:
        lines.append(f"  … and {left} more, {_tally(first[len(first) - left :])} (verdict.json)")
    return lines


def _expectation(row: Mapping[str, Any], wide: int, width: int, paint: Paint) -> list[str]:
    word = row["verdict"]
    recovered, within = length(row.get("recovery_s")), length(row.get("within_s"))
    mark = paint.verdict(word) + " " * (8 - len(word))
    line = f"  {fit(clean(row['name']), wide):<{wide}}  {mark}  {recovered:>10}  {within:>8}"
    if word == "held":
        return [line]
    return [line, *(f"      {part}" for part in wrap(row.get("reason", ""), width - 6, lines=2))]


def _tally(rows: Sequence[Mapping[str, Any]]) -> str:
    words = [str(r["verdict"]) for r in rows]
    return ", ".join(f"{words.count(w)} {w}" for w in ("violated", "unknown", "held") if w in words)


def _faults(rows: Sequence[Mapping[str, Any]], width: int, room: int, paint: Paint) -> list[str]:
    if not rows:
        return []
    labels = [
        clean(r["name"] if r["name"].startswith(r["kind"]) else f"{r['name']} ({r['kind']})") for r in rows
    ]
    wide = min(max(len("fault"), *map(len, labels)), width - 54)
    heading = f"  {'fault':<{wide}}  {'hit':>8}  {'in force':<13} {'healed':<14} {'leak':>6}"
    lines = ["", paint(heading, "dim")]
    order = sorted(
        range(len(rows)),
        key=lambda i: rows[i].get("effective") is True and rows[i].get("healed") is not False,
    )
    for done, i in enumerate(order):
        entry = [_fault(rows[i], fit(labels[i], wide), wide, paint)]
        if why := _disproof(rows[i]):
            entry.append("      " + fit(why, width - 6))
        if len(lines) + len(entry) + (done < len(rows) - 1) > room and done:
            lines.append(f"  … and {count(len(rows) - done, 'more fault')} (verdict.json)")
            break
        lines += entry
    return lines


def _fault(row: Mapping[str, Any], label: str, wide: int, paint: Paint) -> str:
    spans = row.get("intervals", ())
    effective = next((s["effective_s"] for s in spans if s.get("effective_s") is not None), None)
    healed = next((s["healed_s"] for s in reversed(spans) if s.get("healed_s") is not None), None)
    leaks = [s["leaked_s"] for s in spans if s.get("leaked_s") is not None]
    shown = row.get("effective")
    force = ("not proved", "yellow")
    if shown is not None:
        force = (moment(effective), "green") if shown else ("DISPROVED", "red")
    elif not spans:
        force = ("never began", "yellow")
    gone = ("stays", "dim") if row.get("permanent") else ("not proved", "yellow")
    if shown is None and not spans:
        gone = ("–", "dim")
    if row.get("healed") is not None:
        gone = (moment(healed), "green") if row["healed"] else ("NOT HEALED", "red")
    hit = count(len(row.get("targets", ())), "node")
    times = f" ×{len(spans)}" if len(spans) > 1 else ""
    return (
        f"  {label:<{wide}}  {hit:>8}  {paint(f'{force[0]:<13}', force[1])} "
        f"{paint(f'{gone[0] + times:<14}', gone[1])} {length(max(leaks, default=None)):>6}"
    )


def _disproof(row: Mapping[str, Any]) -> str:
    """The first piece of evidence that speaks against the fault, in words; empty where all agree."""
    if row.get("effective") is True and row.get("healed") is not False:
        return ""
    if row.get("reason"):
        return clean(row["reason"])
    for item in row.get("evidence", ()):
        if not item.get("agrees", item.get("expected") == item.get("seen")):
            return clean(f"{item['what']}: expected {item.get('expected')}, seen {item.get('seen')}")
    return ""


def recovery_words(value: Any) -> str:
    """A recovery of a class of nodes in words: a number of seconds, or a mapping with ``median_s`` and
    ``max_s``.
    """
    if isinstance(value, Mapping):
        parts = [
            f"{key.removesuffix('_s')} {length(v)}"
            for key, v in value.items()
            if key.endswith("_s") and isinstance(v, int | float)
        ]
        alike = {part.split(" ", 1)[1] for part in parts}
        return alike.pop() if len(alike) == 1 else " / ".join(parts) or "–"
    return length(value) if isinstance(value, int | float) else "–"


def _foot(verdict: Verdict, directory: str, width: int, paint: Paint) -> list[str]:
    recovery = verdict.get("recovery") or {}
    lines = [""]
    if any(recovery.get(k) is not None for k in ("faulted", "bystanders")):
        words = ", ".join(f"{k} {recovery_words(recovery.get(k))}" for k in ("faulted", "bystanders"))
        lines.append(f"  recovery: {fit(words, width - 12)}")
    run = clean(directory)
    lines.append(f"  run: {fit(run, width - 7)}")
    more = "  more there: verdict.json, junit.xml, journal.jsonl, logs/, picture.svg"
    lines.append(paint(fit(more, width), "dim"))
    again = "  again: seatrial judge (or replay) "
    lines.append(paint(again + (run if len(again + run) <= width else "RUN"), "dim"))
    return lines


def one_line(verdict: Verdict, directory: str, paint: Paint) -> str:
    """``halves.

    HELD (seed 7, recovered after 2.4 s; runs/…)``, with the first reason where it did not hold.
    """
    word = str(verdict["verdict"]).upper()
    name = clean(verdict.get("scenario", {}).get("name", ""))
    slowest = slowest_recovery(verdict)
    recovered = "" if slowest is None else f", recovered after {length(slowest)}"
    why = "" if word == "HELD" or not verdict.get("reasons") else f": {clean(verdict['reasons'][0])}"
    return f"{name}: {paint.verdict(word)}{why} (seed {verdict.get('seed')}{recovered}; {clean(directory)})"


def of_many(verdicts: Sequence[tuple[str, Verdict | None, int, str]], *, paint: Paint | None = None) -> str:
    """The table of several runs: one row a run (its directory and reason below where it did not hold), then
    counts and the recovery times' least, median and most.

    Each item is (file or name, verdict or None where there is none, exit code, message).
    """
    paint = paint or Paint()
    wide = min(max(len("run"), *(len(clean(v[0])) for v in verdicts)), 36)
    lines = [paint(f"  {'run':<{wide}}  {'verdict':<12}  {'recovered':>10}  {'seed':>10}  exit", "dim")]
    for label, verdict, code, message in verdicts:
        word = str(verdict["verdict"]) if verdict else "no verdict"
        slowest = length(slowest_recovery(verdict)) if verdict else "–"
        seed = verdict.get("seed") if verdict else None
        mark = paint.verdict(word) + " " * (12 - len(word))
        drawn = "–" if seed is None else str(seed)
        lines.append(f"  {fit(clean(label), wide):<{wide}}  {mark}  {slowest:>10}  {drawn:>10}  {code:>4}")
        if code and (why := _why(verdict, message)):
            where = f"{clean(verdict['run'])}: " if verdict and verdict.get("run") else ""
            lines += [f"      {part}" for part in wrap(f"{where}{why}", 74, lines=2)]
    lines += ["", "  " + counts([v[1] for v in verdicts])]
    return "\n".join(lines) + "\n"


def counts(verdicts: Sequence[Verdict | None]) -> str:
    """``4 runs: 3 held, 1 violated; recovered after 1.0 s / 2.4 s / 4.0 s (least / median / most)``."""
    words = [v["verdict"] if v else "without a verdict" for v in verdicts]
    tally = [
        f"{words.count(w)} {w}"
        for w in ("held", "violated", "inconclusive", "without a verdict")
        if w in words
    ]
    text = f"{count(len(verdicts), 'run')}: {', '.join(tally)}"
    times = [t for v in verdicts if v and (t := slowest_recovery(v)) is not None]
    if times:
        three = [length(t) for t in (min(times), statistics.median(times), max(times))]
        text += f"\n  recovered after {' / '.join(three)} (least / median / most)"
    return text


def slowest_recovery(verdict: Verdict) -> float | None:
    """The longest recovery of its expectations about what comes after a fault, in seconds; None where none
    recovered.
    """
    times = [
        e["recovery_s"]
        for e in verdict["expectations"]
        if e.get("recovery_s") is not None and e.get("phase") == "after"
    ]
    return max(times, default=None)


def _why(verdict: Verdict | None, message: str) -> str:
    reasons = verdict.get("reasons", ()) if verdict else ()
    return clean(reasons[0]) if reasons else clean(message)
