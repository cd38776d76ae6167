"""Not Python."""

from mxfleet.fleet import Fleet

FLEET = Fleet(name="x"
