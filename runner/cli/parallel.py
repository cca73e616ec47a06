"""``run --jobs N``.

Each trial a process of its own (``seatrial run FILE --json --quiet``), at most N at a time.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.cli import console

if TYPE_CHECKING:
    from runner.cli.trial import Done, Options


class Children:
    """The trials' processes that are running, so that a signal to us reaches them too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def run(self, argv: Sequence[str]) -> tuple[int, str, str] | None:
        """Run one to its end: exit code, output, errors; None if trials are no longer started."""
        with self._lock:
            if self.stopped:
                return None
            # in our own process group: a Ctrl-C on the terminal reaches them directly, and once only
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            self._running.add(child)
        out, err = child.communicate()
        with self._lock:
            self._running.discard(child)
        return child.returncode, out, err

    def stop(self, number: int | None = None) -> None:
        """Start no more; ``number`` is a signal that is passed on to those that run."""
        with self._lock:
            self.stopped = True
            for child in self._running:
                if number is not None:
                    child.send_signal(number)


def run_all(
    files: Sequence[Path], options: Options, extra: Sequence[str], *, jobs: int, fail_fast: bool
) -> list[Done]:
    """Run every file (a file may come more than once).

    Results in the order given. Those not started are left out.
    """
    children = Children()
    results: dict[int, Done] = {}
    before = signal.signal(signal.SIGTERM, lambda number, frame: children.stop(number))
    try:
        with ThreadPoolExecutor(jobs) as pool:
            futures = {
                pool.submit(children.run, _argv(file, options, extra)): i for i, file in enumerate(files)
            }
            try:
                for future in as_completed(futures):
                    _take(future.result(), futures[future], files, results, options, children, fail_fast)
            except KeyboardInterrupt:
                children.stop()
                console.note("seatrial: interrupted; waiting for the trials to heal and end")
    finally:
        signal.signal(signal.SIGTERM, before)
    for future, i in futures.items():
        if i not in results and future.done() and not future.cancelled() and (got := future.result()):
            results[i] = _done(str(files[i]), *got)
    if len(results) < len(files):
        console.note(f"seatrial: {len(files) - len(results)} of {len(files)} trials were not started")
    return [results[i] for i in sorted(results)]


def _take(
    got: tuple[int, str, str] | None,
    i: int,
    files: Sequence[Path],
    results: dict[int, Done],
    options: Options,
    children: Children,
    fail_fast: bool,
) -> None:
    if got is None:
        return
    results[i] = done = _done(str(files[i]), *got)
    if not options.quiet:
        word = done.verdict["verdict"] if done.verdict else "no verdict"
        console.note(f"{len(results)} of {len(files)}  {done.label}: {word} (exit {done.exit_code})")
    if fail_fast and done.exit_code:
        children.stop()


def _argv(file: Path, options: Options, extra: Sequence[str]) -> list[str]:
    argv = [sys.executable, "-m", "runner.cli.main", "run", str(file), "--json", "--quiet"]
    argv += ["--out", str(options.out), "--lease", f"{options.lease_s:.3f}s", *extra]
    argv += [] if options.seed is None else ["--seed", str(options.seed)]
    argv += [] if options.timeout_s is None else ["--timeout", f"{options.timeout_s:.3f}s"]
    return argv


def _done(label: str, code: int, out: str, err: str) -> Done:
    from runner.cli.trial import Done

    verdict: dict[str, Any] | None = None
    with suppress(ValueError):
        verdict = json.loads(out)
    message = (err.strip().splitlines() or [""])[-1].removeprefix("seatrial: ")
    if code < 0:
        code, message = console.ABORTED, f"the trial's process was ended by signal {-code}"
    return Done(label, code, verdict, None, message)
