"""Who may do what, as the operator says: pure decisions, and the file that they come from."""
