"""Conventions: how functions of other libraries depart from the registered losses, as data.

Each module but the ones imported below has ``ROWS``, the conventions of the losses of some families.
"""
