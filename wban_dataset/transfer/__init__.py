"""Brings sessions from a recorder to a workstation, verified."""
