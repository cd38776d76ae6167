"""Domain-based Message Authentication, Reporting and Conformance (RFC 9989): records, tree walk, evaluation."""
