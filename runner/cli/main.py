"""The command ``seatrial``: every command registered, and the last place where an exception can end up.

Commands live one family a module; their bodies import what they need, so that ``--help`` loads nothing heavy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from runner.cli import again, byhand, catalogue, console, doctor, files, heal, trial
from runner.reports.wording import clean

EXIT_CODES = (
    "\b\nExit codes: 0 held, 1 violated, 2 bad input (nothing was started), 3 inconclusive,\n"
    "4 aborted or could not run, 5 something could not be healed."
)
EXAMPLES = (
    "\b\nExamples:\n"
    "  seatrial doctor                                  what this machine can do\n"
    "  seatrial run scenarios/devnet/halves.yaml        split a live network, judge it\n"
    "  seatrial explain partition                       what a fault is and takes"
)

app = typer.Typer(
    name="seatrial",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{EXAMPLES}\n\n{EXIT_CODES}",
)


def _version(wanted: bool) -> None:
    if wanted:
        from runner import __version__

        console.out(f"seatrial {__version__}")
        raise typer.Exit


@app.callback()
def seatrial(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Chaos trials for peer-to-peer networks: every fault is proved to have taken effect and to be gone, and
    a verdict says why.
    """


for _family in (trial, files, catalogue, again, byhand, heal, doctor):
    _family.register(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code. Nothing that a person can cause shows a traceback."""
    console.fill_streams()
    code = _run(sys.argv[1:] if arguments is None else list(arguments))
    console.settle(sys.stderr)
    written = console.settle(sys.stdout)
    sys.exit(console.ABORTED if code == console.HELD and not written else code)


def _run(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        result = command.main(arguments, prog_name="seatrial", standalone_mode=False)
    except KeyboardInterrupt:
        result = 130
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "show"):  # a mistake in the command line itself
            error.show()
            return console.BAD_INPUT
        return _unexpected(error)
    if result == 130:
        console.note("seatrial: interrupted")
        return console.ABORTED
    return result if isinstance(result, int) else console.HELD


def _unexpected(error: Exception) -> int:
    if os.environ.get("SEATRIAL_DEBUG"):
        import traceback

        traceback.print_exception(error)
    else:
        text = clean(str(error)) or "no message"
        console.note(
            f"seatrial: {type(error).__name__}: {text} (this should not happen; SEATRIAL_DEBUG=1 shows where)"
        )
    return console.ABORTED


if __name__ == "__main__":
    main()
