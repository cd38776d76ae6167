"""An inventory without a fleet."""

FLEETS = "none"
