"""Leave out, rename, forget."""
