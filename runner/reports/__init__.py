"""Journal and verdict for people and machines: terminal, JUnit, Markdown."""
