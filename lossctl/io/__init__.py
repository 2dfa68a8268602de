"""A path or a pipe in, aligned rows of numbers out: one file a format."""
