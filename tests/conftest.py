"""Every run of the suite tries the same examples; `MXFLEET_FUZZ=1 pytest …` looks for new ones."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fuzz", max_examples=2000, deadline=None)
settings.load_profile("fuzz" if os.environ.get("MXFLEET_FUZZ") else "repeatable")
