"""The door to a container engine. What a workspace or a process is does not belong here."""
