"""The daemon: a recording thread, its chores, and the word to systemd."""
