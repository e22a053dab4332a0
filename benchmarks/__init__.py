"""Suites that measure kjet against its peers, and their results with machine, versions, seed and command."""
