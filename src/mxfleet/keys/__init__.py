"""The key lifecycle, its ledger and its vault."""
