"""DomainKeys Identified Mail (RFC 6376, RFC 8301, RFC 8463): keys, records, canonical forms, signing."""
