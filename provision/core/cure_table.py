"""Which command cures what, on which system: every row names where it was looked up, and when.

Nothing here is run by this tool: a cure is shown, and the user decides.
"""

from __future__ import annotations

from provision.core.cure_kinds import DISTRIBUTIONS, Cure, CureKind, System
from provision.core.driver_cures import DRIVER_CURES
from provision.core.sharing_cures import SHARING_CURES

TABLE: dict[CureKind, dict[System, Cure]] = DRIVER_CURES | SHARING_CURES

__all__ = ["DISTRIBUTIONS", "TABLE", "Cure", "CureKind", "System"]
