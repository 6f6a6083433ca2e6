"""We and our peers, driven with the same steps: `python -m tests.bench.peers`."""
