"""What a person would get wrong, looked at before it hurts: bus, chips, cameras, machine, disk."""
