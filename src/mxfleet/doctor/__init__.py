"""Observations of a fleet and the checks on them."""
