"""Puts wban on a machine, and takes it off again: a list of steps to look at or do."""
