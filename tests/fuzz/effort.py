"""How much is tried: seconds for CI, more where it is asked for."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("WBAN_FUZZ_FACTOR", "1"))
"""10 for docs/reliability.md."""


def effort(n_examples: int) -> Any:
    """Try so many examples, times the factor; each may take what it takes."""
    return settings(
        max_examples=n_examples * FACTOR, deadline=None, suppress_health_check=list(HealthCheck)
    )
