"""The command wban-dataset, one file per group of commands."""
