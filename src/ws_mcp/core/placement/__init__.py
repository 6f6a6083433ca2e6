"""Where workspaces are when there are several machines: each has a room on a node of a swarm, and is made there."""
