"""The queue: one protocol, one module an implementation."""
