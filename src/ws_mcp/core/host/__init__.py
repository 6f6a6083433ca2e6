"""The door to this machine: commands, files, sandboxes."""
