"""The command line: the only place that imports typer, one file a command."""
