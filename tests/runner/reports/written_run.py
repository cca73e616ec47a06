"""A written run of six nodes: a split, a crash and a clock error, as journal events and as a verdict."""

import copy

NAMES = [f"n{i}" for i in range(1, 7)]
A, B = NAMES[:3], NAMES[3:]
ZERO = 4.0
CUTS = {"blocks": [A, B], "cut": [[0, 1], [1, 0]]}
RING = [[NAMES[i], NAMES[i + 1]] for i in range(5)] + [["n1", "n6"]]
WITHIN = [[a, b] for side in (A, B) for a in side for b in side if a < b]


def event(t, name, **fields):
    return {"t": t, "wall": "2026-11-24T10:00:00+00:00", "event": name, **fields}


def step(t, trial, kind, targets, start, end, claims, **more):
    return event(
        t,
        "step",
        step=trial.split(".")[0],
        trial=trial,
        kind=kind,
        targets=targets,
        sides=more.get("sides", {}),
        draws={},
        claims=claims,
        start=ZERO + start,
        end=None if end is None else ZERO + end,
        spans=[[ZERO + start, None if end is None else ZERO + end, None]],
        permanent=end is None,
    )


def model(at, state, key, late=0.001):
    t = ZERO + at
    return event(
        t + 0.02, "model", state=state, asked=t, at=t + late, done=t + 2 * late, key=key, problems=[]
    )


def sample(at, n, heights, *, silent=(), graph=None, key=False):
    nodes = {name: {"facts": {"height": h}} for name, h in heights.items()}
    for name in silent:
        nodes[name] = {"answers": False, "why": "refused"}
    fields = {"n": n, "key": key, "nodes": nodes}
    if graph is not None:
        fields["graph"] = {"overlay": graph, "sockets": graph}
    return event(ZERO + at, "sample", **fields)


def all_at(height):
    return dict.fromkeys(NAMES, height)


def answering(at, n, height, graph):
    out = sample(at, n, all_at(height), graph=graph, key=True)
    for view in out["nodes"].values():
        view["answers"] = True
    return out


def beats(at, through):
    pairs = [["n1", "n4"], ["n4", "n1"], ["n2", "n5"], ["n5", "n2"]]
    return [event(ZERO + at + 0.05, "beat", pair=p, through=through, since=ZERO + at) for p in pairs]


def written():
    """All events of the run, in order."""
    header = {
        "schema": 0,
        "seatrial": "0.1.0",
        "run": "20261124-100000-halves",
        "scenario": {"name": "halves", "sha256": "00"},
        "seed": 7,
        "nodes": [{"name": n} for n in NAMES],
        "quorum": 2 / 3,
    }
    down = {"status": {"n2": {"is": "down", "signal": "kill", "wipe": False}}}
    skew = {"clocks": {"n5": {"offset_s": 30.0, "drifts": [], "strobes": [], "frozen_since": None}}}
    return [
        event(0.0, "run", **header),
        event(0.3, "run", **header),
        event(0.4, "progress", text="starting nodes: 6 nodes"),
        *[event(0.5 + i / 10, "started", node=n, pid=100 + i, why="first") for i, n in enumerate(NAMES)],
        answering(-3.0, 1, 1, RING),
        *beats(-2.9, True),
        event(ZERO, "steady", zero=ZERO, learnt={"hold_s": 3.0, "interval_s": 1.0}),
        step(ZERO, "split", "partition", NAMES, 10.0, 20.0, ["cut"], sides={"a": A, "b": B}),
        step(ZERO, "crash", "kill", ["n2"], 28.0, 32.0, ["down"]),
        step(ZERO, "skew", "clock", ["n5"], 28.0, 32.0, ["clock"]),
        sample(0.0, 2, all_at(4)),
        model(10.0, {"cuts": CUTS}, "c1"),
        *beats(10.02, False),
        event(ZERO + 10.5, "sweep", reach=CUTS, at=ZERO + 10.4),
        sample(10.6, 3, {**dict.fromkeys(A, 14), **dict.fromkeys(B, 13)}, graph=WITHIN),
        model(20.0, {}, "c2"),
        *beats(20.01, True),
        sample(21.5, 4, all_at(20), graph=RING),
        model(28.0, {**down, **skew}, "c3"),
        event(ZERO + 28.004, "exited", node="n2", pid=101, code=-9, expected=True),
        event(ZERO + 28.005, "down", node="n2", gone=[101], leaked_s=0.004),
        event(
            ZERO + 28.006,
            "clock",
            node="n5",
            pids=[104],
            offset_ns=[[104, 30_000_000_000]],
            expected_ns=30_000_000_000,
            restored=False,
            problems=[],
        ),
        sample(
            28.5,
            5,
            {"n1": 28, "n3": 28, "n4": 28},
            silent=("n2", "n5"),
            graph=[e for e in RING if "n2" not in e],
        ),
        model(32.0, {}, "c4"),
        event(
            ZERO + 32.01,
            "clock",
            node="n5",
            pids=[104],
            offset_ns=[[104, 3]],
            expected_ns=0,
            restored=True,
            problems=[],
        ),
        event(ZERO + 32.02, "started", node="n2", pid=120, why="heal"),
        answering(34.0, 6, 33, RING),
        event(ZERO + 36.0, "heal", why="plan"),
        event(ZERO + 37.0, "healed", left=[]),
        event(ZERO + 37.0, "end", why="plan", detail="", kept=False),
    ]


def judged():
    """The verdict of the run: held."""

    def row(name, phase, of="", **more):
        return {
            "name": name,
            "phase": phase,
            "of": of,
            "verdict": "held",
            "reason": "held in every sample",
            "within_s": None,
            "recovery_s": None,
            "flow_s": None,
            "bound_distance": None,
            "nodes": {},
            "stages": {},
            **more,
        }

    def fault(name, kind, targets, start, effective, end, healed, leak):
        spans = [
            {
                "started_s": start,
                "effective_s": effective,
                "ended_s": end,
                "healed_s": healed,
                "leaked_s": leak,
            }
        ]
        seen = [
            {"what": "it took effect", "expected": "all", "seen": "all", "at_s": effective, "agrees": True}
        ]
        return {
            "name": name,
            "kind": kind,
            "targets": targets,
            "intervals": spans,
            "ended_by": "plan",
            "effective": True,
            "healed": True,
            "evidence": seen,
            "permanent": False,
            "reason": "",
        }

    return {
        "seatrial": "0.1.0",
        "schema": 0,
        "run": "20261124-100000-halves",
        "scenario": {"name": "halves", "sha256": "00"},
        "seed": 7,
        "verdict": "held",
        "exit_code": 0,
        "reasons": [],
        "expectations": [
            row("before-faults", "before", "faults", within_s=60.0, recovery_s=0.0),
            row("during-split", "during", "split"),
            row("after-split", "after", "split", within_s=15.0, recovery_s=2.4, flow_s=1.2),
            row("after-crash", "after", "crash", within_s=15.0, recovery_s=1.9),
            row("always", "always"),
        ],
        "faults": [
            fault("split", "partition", NAMES, 10.0, 10.02, 20.0, 20.01, 0.02),
            fault("crash", "kill", ["n2"], 28.0, 28.005, 32.0, 32.02, 0.004),
            fault("skew", "clock", ["n5"], 28.0, 28.006, 32.0, 32.01, 0.005),
        ],
        "recovery": {"faulted": 1.9, "bystanders": 0.4},
        "versions": {"seatrial": "0.1.0"},
    }


def failed():
    """The same run, violated in one expectation, another unknown, one fault disproved, one left behind."""
    verdict = copy.deepcopy(judged())
    verdict.update(verdict="violated", exit_code=1)
    verdict["reasons"] = [
        "after-split: n4 and n5 were not in the component of n1 within 15 s (graph: overlay)"
    ]
    split, crash = verdict["expectations"][2:4]
    split.update(
        verdict="violated", reason="2 of 6 nodes are apart: n4, n5 <&> \x1b[31mred\x07", recovery_s=None
    )
    split["nodes"] = {"n4": {"verdict": "violated", "reason": "no connection", "recovery_s": None}}
    crash.update(verdict="unknown", reason="'crash' lacks evidence", recovery_s=None)
    verdict["faults"][1].update(effective=False, reason="n2 still answered at +29.1 s")
    verdict["faults"][2].update(healed=False, reason="n5's clock is 30 s ahead after the heal")
    return verdict
