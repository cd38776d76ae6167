"""DNS records as a plan: desired, observed, guarded, applied."""
