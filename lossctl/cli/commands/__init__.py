"""The commands, one file each: a function that returns a `Report` and the output options, and its HELP text."""
