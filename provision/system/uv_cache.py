"""uv's cache, which stacks share their files with: what is altered in one place is altered in both."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from provision.errors import ToolError
from provision.system.run import run
from provision.system.uv import find_uv

# It waits for other runs of uv to let go of the cache.
_TIMEOUT_S = 120.0


def remove_from_cache(names: Collection[str], *, env: Mapping[str, str]) -> None:
    """Have uv forget every wheel of the packages `names`. Raises ToolError with uv's words."""
    argv = [str(find_uv()), "cache", "clean", *sorted(names)]
    completed = run(argv, timeout_s=_TIMEOUT_S, env=env)
    if completed.exit_code != 0:
        said = completed.stderr.strip().splitlines()
        raise ToolError(
            f"uv cannot clean its cache: {said[-1] if said else 'it says nothing'}", hint="uv cache dir"
        )
