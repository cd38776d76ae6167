"""A stand-in for Cloudflare's DNS API: stateful, strict, with faults; and the name servers that show what it holds.

It was made from the documentation, the SDK's types and what people met (rules.py says which is which). No call was
ever made to the real API from here; where a token and a zone are given, the same contract suite runs on it.
"""
