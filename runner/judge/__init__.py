"""Journal to verdict: recovery times, reasons, exit code. Does no I/O but reading the journal."""
