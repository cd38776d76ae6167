"""Where zones live: one module a provider, one contract."""
