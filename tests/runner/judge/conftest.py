"""Makes the written journals of the predicates' tests importable here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "predicates"))
