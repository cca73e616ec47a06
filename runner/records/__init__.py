"""Values of the journal and of snapshots; reading and writing them."""
