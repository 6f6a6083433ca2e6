"""Ratios against the alternatives, each within one run on one machine; `python -m tests.bench` prints the table."""
