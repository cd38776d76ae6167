"""The mail protocols as pure code: no I/O, no clock."""
