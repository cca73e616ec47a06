"""From expectations and faults to the run's verdict: precedence, exit code, and the reasons in the order of
their weight.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.judge.account import Account
from runner.records.verdict import ExpectationVerdict, FaultVerdict, Outcome

HELD, VIOLATED, INCONCLUSIVE = 0, 1, 3
BROKEN_OFF, NOT_HEALED = 4, 5
PRECEDENCE = (NOT_HEALED, BROKEN_OFF, VIOLATED, INCONCLUSIVE, HELD)

_WHY = {
    "abort": "the run was aborted",
    "interrupt": "the run was interrupted",
    "error": "the run could not go on",
    "timeout": "the run took too long",
    "killed": "the runner ended in the middle of the run",
    "lease": "the lease ran out",
}


def worst(codes: Sequence[int]) -> int:
    """The exit code of several runs: the first of 5, 4, 1, 3, 0 that occurs."""
    return next((c for c in PRECEDENCE if c in codes), HELD)


def broken_off(account: Account) -> str:
    """Why the run ended before its plan did, in words; empty where it did not."""
    why = account.why_ended
    if why in ("plan", "end"):
        return ""
    detail = str((account.end or {}).get("detail") or "")
    text = _WHY.get(why, f"the run ended ({why})")
    return f"{text}: {detail}" if detail else text


def undecided(account: Account) -> bool:
    """Whether an abort only says that something never came about: the steady state, or a step's condition."""
    unmet = any(e.get("met") is False for e in account.triggers)
    return account.why_ended == "abort" and (account.zero is None or unmet)


def conclude(
    account: Account, expectations: Sequence[ExpectationVerdict], faults: Sequence[FaultVerdict]
) -> tuple[Outcome, int, tuple[str, ...]]:
    """The verdict, the exit code and the reasons, the most important first."""
    left = [str(x) for x in (account.healed or {}).get("left") or ()]
    stayed = [f for f in faults if f.healed is False]
    violated = [e for e in expectations if e.verdict == "violated"]
    unknown = [e for e in expectations if e.verdict == "unknown"]
    unproved = [f for f in faults if f.effective is not True or (f.healed is None and not f.permanent)]
    broken = broken_off(account)
    reasons = [f"could not be healed: {text}" for text in left]
    reasons += [f"'{f.name}' is not healed: {f.reason}" for f in stayed if f.reason not in left]
    reasons += [broken] if broken else []
    reasons += [f"{e.name}: {e.reason}" for e in sorted(violated, key=lambda e: e.phase != "always")]
    reasons += [
        _unproved(f) for f in sorted(unproved, key=lambda f: f.effective is not False) if f not in stayed
    ]
    reasons += [f"{e.name}: {e.reason}" for e in unknown]
    verdict: Outcome = "held"
    if violated:
        verdict = "violated"
    elif unknown or unproved or stayed or left or broken:
        verdict = "inconclusive"
    code = {"held": HELD, "violated": VIOLATED, "inconclusive": INCONCLUSIVE}[verdict]
    if broken and not undecided(account):
        code = BROKEN_OFF
    if left or stayed:
        code = NOT_HEALED
    if not reasons:
        reasons = [_good(expectations, faults)]
    return verdict, code, tuple(dict.fromkeys(reasons))


def _unproved(fault: FaultVerdict) -> str:
    if fault.effective is False:
        return f"'{fault.name}' was not in force: {fault.reason}"
    if fault.effective is None:
        return f"there is no evidence of '{fault.name}': {fault.reason}"
    return f"there is no evidence that '{fault.name}' is gone: {fault.reason}"


def _good(expectations: Sequence[ExpectationVerdict], faults: Sequence[FaultVerdict]) -> str:
    slowest = max(
        (e for e in expectations if e.recovery_s is not None), key=lambda e: e.recovery_s or 0.0, default=None
    )
    many = f"all {len(expectations)} expectations" if len(expectations) > 1 else "the expectation"
    text = f"{many} held" if expectations else "nothing was expected"
    if faults:
        text += (
            f", {len(faults)} faults proved and gone" if len(faults) > 1 else ", the fault proved and gone"
        )
    if slowest is not None:
        text += f"; slowest recovery {slowest.recovery_s:.1f} s ({slowest.name})"
    return text
