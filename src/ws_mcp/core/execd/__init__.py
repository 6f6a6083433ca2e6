"""The door to execd, the process daemon of a place. Which chat may do what does not belong here."""
