"""Pure judgements over snapshots and the model, one family a file."""
