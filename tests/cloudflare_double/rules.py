"""What the double does, rule by rule, and how we know: documented, observed (by others, in public), or assumed."""

RULES: tuple[tuple[str, str, str], ...] = (
    ("body", "every request body has the shape of the SDK's own types", "documented: cloudflare 5.9.0"),
    ("batch-order", "deletes, patches, puts, posts, in this order", "documented: SDK docstring of batch"),
    (
        "batch-atomic",
        "one transaction: all of a batch or nothing of it",
        "documented: SDK docstring of batch",
    ),
    (
        "batch-size",
        "200 operations, 3,500 on paid plans",
        "documented: dns/manage-dns-records/how-to/batch-record-changes",
    ),
    (
        "requests",
        "1,200 requests in 5 minutes a user, then 429 with Retry-After for the rest",
        "documented: fundamentals/api/reference/limits",
    ),
    (
        "ratelimit-headers",
        'Ratelimit: "default";r=…;t=… and Ratelimit-Policy',
        "documented: fundamentals/api/reference/limits",
    ),
    ("ttl", "1 (automatic) or 60 to 86400", "documented: SDK docstring of ttl"),
    (
        "comment",
        "at most 100 characters on free plans",
        "documented: dns/manage-dns-records/reference/record-attributes",
    ),
    (
        "identical",
        "an identical record is refused with 81058",
        "observed: terraform-provider-cloudflare #750, certbot",
    ),
    ("alias", "A, AAAA and CNAME of one name exclude each other: 81053", "observed: lexicon, certbot"),
    ("gone", "an id that does not exist: 81044, status 404", "observed: cisagov/manage.get.gov"),
    ("name", "a name outside of the zone: 9000; the zone itself is appended to none of ours", "assumed"),
    ("content", "content that is no such record: 9007", "observed: lexicon"),
    (
        "txt-kept",
        "TXT content comes back as it was sent, quoted or not",
        "observed: dnscontrol #3172, libdns #13",
    ),
    (
        "names",
        "names come back in lower case without the final dot; targets too, except '.'",
        "observed: octodns-cloudflare",
    ),
    ("zones-page", "at most 50 zones a page", "documented: API reference, list zones"),
    (
        "records-page",
        "100 records a page unless asked, at most 5,000,000",
        "documented: API reference, list records",
    ),
    ("result-info", "count, page, per_page, total_count, total_pages", "documented: API reference"),
    (
        "read-only",
        "meta.read_only records (Email Routing) cannot be changed: 1043, status 400",
        "assumed: dnscontrol #3850",
    ),
    (
        "token",
        "no such token: 9109 with 403; a zone that it may not see is not listed, and 403 by id",
        "observed: certbot",
    ),
    ("data", "TLSA and CAA are given as data and come back with data and content", "documented: SDK types"),
    (
        "propagation",
        "a change reaches the name servers later, each at its own time",
        "documented: SDK docstring of batch",
    ),
)
"""(rule, what, how we know it)."""
