"""Cuts sessions into labelled windows."""
