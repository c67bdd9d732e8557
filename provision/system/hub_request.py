"""What to fetch from the Hub, and how the user's environment says to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from provision.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class HubRequest:
    """One model at one commit, and where it may come from. `offline_by` names the variable that forbids it.

    A dataclass for `repr=False`: the token must not show where this is printed. None leaves the search for a
    login to huggingface-hub, which also renews it; False sends none.
    """

    repo_id: str
    revision: str
    cache_dir: Path
    endpoint: str
    token: str | bool | None = field(repr=False)
    offline_by: str | None

    @property
    def name(self) -> str:
        """The model and the commit, short."""
        return f"{self.repo_id} at {self.revision[:12]}"

    @property
    def hub(self) -> str:
        """The endpoint as it may be shown: without a user's name and password."""
        scheme, separator, rest = self.endpoint.rpartition("://")
        host, slash, path = rest.partition("/")
        return scheme + separator + host.rpartition("@")[2] + slash + path

    @property
    def page(self) -> str:
        """Where a person can look at the model."""
        return f"{self.hub}/{self.repo_id}"

    @property
    def cached_dir(self) -> Path:
        """The model's folder in the cache, whether it exists or not."""
        return self.cache_dir / f"models--{self.repo_id.replace('/', '--')}"


def read_hub_request(repo_id: str, revision: str, env: Mapping[str, str]) -> HubRequest:
    """huggingface-hub reads these variables once, when it is imported; here they hold for each call."""
    token = (env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN") or "").strip()
    if not (token.isascii() and token.isprintable()):
        raise UsageError("HF_TOKEN holds characters that no token has", hint="unset HF_TOKEN")
    offline = (name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if is_true(env.get(name)))
    return HubRequest(
        repo_id=repo_id,
        revision=revision,
        cache_dir=find_hub_cache(env),
        endpoint=(env.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/"),
        token=False if is_true(env.get("HF_HUB_DISABLE_IMPLICIT_TOKEN")) else token or None,
        offline_by=next(offline, None),
    )


def find_hub_cache(env: Mapping[str, str]) -> Path:
    """The Hub's own cache. https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables"""
    home = env.get("HF_HOME") or f"{env.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    return _expand(env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub", env)


def is_true(value: str | None) -> bool:
    """As huggingface-hub reads a switch in the environment."""
    return (value or "").upper() in {"1", "ON", "YES", "TRUE"}


def _expand(path: str, env: Mapping[str, str]) -> Path:
    home = env.get("HOME") or env.get("USERPROFILE") or str(Path.home())
    expanded = Template(path).safe_substitute(env)
    return Path(home + expanded[1:] if expanded.startswith("~/") else expanded).absolute()
