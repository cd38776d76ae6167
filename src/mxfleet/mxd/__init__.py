"""The SMTP exchange that runs on a node.

The way of a message in: listener (accept) → carrier (transport) → session (what each command leads to; policy, login)
→ transaction (gather, stage, inspect) → receipt (envelope, stamp) → spool (commit), and only then the 250. The way
out: courier (what is due) → deliver (hop after hop; route, resolver) → dialogue (one host; outbound) → spool (what
became of it; schedule, bounce). Around them: supervisor and process (who runs), worker (limits, deadlines, the end),
desk (what sessions share), configuration and digest (what was loaded), health, admin, counters, observe (what can be
seen), command and asking (`mxd` for the operator).
"""
