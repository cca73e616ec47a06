"""The command line: parse, call, exit code. Bodies import what they need, so that help stays fast."""
