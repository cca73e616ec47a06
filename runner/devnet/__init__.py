"""The built-in network: a peer-to-peer chain of its own. Imports nothing of the runner."""
