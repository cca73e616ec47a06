"""Options that several commands share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _complete(incomplete: str) -> list[str]:
    """Scenario files and folders that begin so, for the shell."""
    folder = Path(incomplete).parent if not incomplete.endswith("/") else Path(incomplete)
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    names = [f"{p}/" if p.is_dir() else str(p) for p in found if p.is_dir() or p.suffix in (".yaml", ".yml")]
    return [n for n in names if n.startswith(incomplete)]


Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="Scenario files.", autocompletion=_complete, show_default=False),
]
File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="A scenario file.", autocompletion=_complete, show_default=False),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.", show_default=False)]
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", help="Draws who is hit; without it the scenario's, or a new one."),
]
NetworkFile = Annotated[
    Path | None,
    typer.Option("--network", metavar="FILE", help="Use this network instead of the scenario's own."),
]
Params = Annotated[
    list[str],
    typer.Option("--param", metavar="NAME=VALUE", help="Give a parameter another value.", show_default=False),
]
Sets = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Put another value at a path of the file, such as network.nodes.count=20.",
        show_default=False,
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Write JSON for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; the verdict in one line.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours (also: NO_COLOR in the environment).")]
