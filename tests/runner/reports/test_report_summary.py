"""The final summary: one screen, what did not hold first, nothing that could move a cursor."""

import copy

import pytest

from runner.reports.summary import counts, of_many, one_line, slowest_recovery, summary
from runner.reports.wording import Paint


def lines_of(verdict, **options):
    return summary(verdict, directory="runs/20261124-100000-halves", **options).splitlines()


def test_held(held, snapshot):
    assert "\n".join(lines_of(held)) == snapshot


def test_violated(violated, snapshot):
    assert "\n".join(lines_of(violated)) == snapshot


def many(verdict, expectations, faults):
    out = copy.deepcopy(verdict)
    out["expectations"] = [{**out["expectations"][1], "name": f"e{i}"} for i in range(expectations)]
    out["expectations"][-1].update(verdict="violated", reason="the last one " * 40)
    out["faults"] = [{**out["faults"][0], "name": f"f{i}"} for i in range(faults)]
    out["verdict"] = "violated"
    return out


@pytest.mark.parametrize(("expectations", "faults"), [(5, 3), (12, 3), (40, 2), (3, 40), (60, 60)])
def test_fits_one_screen_and_never_drops_what_did_not_hold(held, expectations, faults):
    lines = lines_of(many(held, expectations, faults))
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    assert any(f"e{expectations - 1} " in line and "violated" in line for line in lines)
    shown = sum(line.lstrip().startswith("e") and "held" in line for line in lines)
    if shown < expectations - 1:
        assert any(f"{expectations - 1 - shown} more" in line for line in lines)


def test_narrow_and_long_names(held):
    held["scenario"]["name"] = "x" * 200
    held["expectations"][0]["name"] = "y" * 200
    held["reasons"] = ["z" * 500]
    assert max(map(len, lines_of(held, width=60))) <= 60


def test_control_characters_do_not_reach_the_terminal(violated):
    violated["reasons"] = ["\x1b]0;title\x07 forged\r\nHELD", "\u202egnp"]
    text = summary(violated, directory="runs/\x1b[2J", paint=Paint(on=False))
    assert not set(text) & set("\x1b\x07\r\u202e")


def test_colours_only_when_wanted(held):
    assert "\x1b[" in summary(held, directory="d", paint=Paint(on=True))
    assert "\x1b[" not in summary(held, directory="d")


def test_without_expectations_and_faults(held):
    held.update(expectations=[], faults=[], recovery={})
    assert any("nothing was expected" in line for line in lines_of(held))


def test_permanent_and_unmeasured_faults(held):
    held["faults"][0].update(permanent=True, healed=None)
    held["faults"][1].update(effective=None, healed=None, reason="no heartbeat crossed the cut")
    text = "\n".join(lines_of(held))
    assert "stays" in text
    assert "not proved" in text
    assert "no heartbeat crossed the cut" in text


def test_a_reason_is_said_once(violated):
    row = next(r for r in violated["expectations"] if r["verdict"] == "violated")
    violated["reasons"] = [f"{row['name']}: {row['reason']}"]
    assert "\n".join(lines_of(violated)).count(row["reason"][:30]) == 1
    violated["reasons"] = ["another one"]
    assert "\n".join(lines_of(violated)).count(row["reason"][:30]) == 1


def test_a_fault_that_never_began(held):
    held["faults"][1].update(
        effective=None, healed=None, intervals=[], reason="the run ended before it began"
    )
    line = next(x for x in lines_of(held) if x.lstrip().startswith(held["faults"][1]["name"]))
    assert "never began" in line
    assert "not proved" not in line


def test_a_long_run_directory_does_not_break_the_line(held):
    text = summary(held, directory="x" * 90)
    assert "judge (or replay) RUN" in text


def test_one_line(held, violated):
    assert one_line(held, "runs/x", Paint()) == "halves: HELD (seed 7, recovered after 2.4 s; runs/x)"
    assert one_line(violated, "runs/x", Paint()).startswith("halves: VIOLATED: after-split: n4 and n5")


def test_many_runs(held, violated, snapshot):
    rows = [
        ("halves.yaml", held, 0, ""),
        ("halves.yaml", violated, 1, ""),
        ("kill.yaml", None, 4, "the network did not start: n3 ended with code 1"),
    ]
    assert of_many(rows) == snapshot


def test_counts_give_least_median_and_most(held):
    runs = []
    for seconds in (1.0, 4.0, 2.0):
        one = copy.deepcopy(held)
        one["expectations"][2]["recovery_s"] = seconds
        one["expectations"][3]["recovery_s"] = 0.5
        runs.append(one)
    assert counts(runs) == "3 runs: 3 held\n  recovered after 1.0 s / 2.0 s / 4.0 s (least / median / most)"


def test_recovery_is_of_what_comes_after_a_fault(held):
    held["expectations"][0]["recovery_s"] = 50.0
    assert slowest_recovery(held) == 2.4
