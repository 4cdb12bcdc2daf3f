"""Many sessions, one benchmark dataset: built, described, opened."""
