"""What was asked of this server, by whom, and what became of it: written before the effect, and provably unchanged."""
