"""Floods, storms, crowds and hours of mixed work on real servers, with figures; docs/soak.md says what they mean."""
