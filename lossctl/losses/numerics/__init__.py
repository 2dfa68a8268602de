"""Special functions and error-free arithmetic that families of losses share."""
