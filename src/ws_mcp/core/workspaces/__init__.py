"""Workspaces: names, limits, plans, and the service that makes the plan true."""
