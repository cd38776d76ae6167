"""The parts of `bench.receive`: load, the two servers, senders with their names and keys, accounting, reports."""
