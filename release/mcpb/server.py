"""What a host starts of the bundle: ws-mcp over stdio. Its arguments are the folders that the person chose."""

from __future__ import annotations

import os
import sys

from ws_mcp.cli import run

UNSET = "${user_config."  # what hosts leave in place of a choice that was never made

if __name__ == "__main__":
    for name in [name for name, value in os.environ.items() if value.startswith(UNSET)]:
        del os.environ[name]
    roots = (f"--root={word}" for word in sys.argv[1:] if not word.startswith(UNSET))
    sys.exit(run(("stdio", *roots)))
