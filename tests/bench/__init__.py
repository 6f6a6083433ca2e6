"""Ratios against the alternatives, each within one run on one machine; `python -m tests.bench` prints the table."""

import sys
from pathlib import Path

# What tests share imports itself as `support`, as pytest is told to.
if (_TESTS := str(Path(__file__).parents[1])) not in sys.path:
    sys.path.append(_TESTS)
