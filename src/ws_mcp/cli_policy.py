"""What `ws-mcp policy --help` teaches."""

from __future__ import annotations

DESCRIPTION = "Check a policy file, or ask what it says to a call. Nothing is started, and no server is asked."

EPILOG = """\
A policy file says who may do what. A server takes it with --policy FILE (or WS_MCP_POLICY); flags can then only narrow
it. What it does not grant is refused, an unknown key is an error, and a server that gets HUP reads it again.

  read_only = false                 # true: only tools that change nothing, whatever is granted below

  [[grant]]
  principal = "local:1000"          # the user of stdio, by number (id -u); over HTTP the principal of a token
  tools = ["*"]                     # names of tools, or patterns
  max_tier = 2                      # 3 and 4 are root on the host, and need [privileged] as well
  images = ["debian:*", "ghcr.io/me/ws@sha256:..."]   # patterns; a digest cannot be moved to another image
  roots = ["/home/me/projects"]     # folders of this machine that workspaces may be given
  access = "read_write"             # to those folders; default read_only
  local = true                      # sandboxed directories, too

  [[grant]]
  principal = "*"                   # whoever has no grant of their own
  tools = ["list_*", "read_output"]

examples/policy.toml has every key. A call for `explain` is JSON:

  {"principal": "alice", "transport": "http", "tool": "provision_workspace", "arguments": {"tier": 3}}

`explain` ends with 0 if the call is allowed and with 1 if it is not, and says by which rule.
"""
