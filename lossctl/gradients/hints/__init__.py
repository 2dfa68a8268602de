"""Explanations of wrong gradients, by theme. A hint is one decorated function; ``diagnosis.py`` tries them in order."""
