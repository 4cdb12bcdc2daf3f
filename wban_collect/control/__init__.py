"""Speak with the daemon: messages, the socket, keys, the two ends."""
