"""Changes from one activity to another: found, refined, described, scored."""
