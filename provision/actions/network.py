"""What the network checks look at: the user's settings, and what answers when it is asked."""

from __future__ import annotations

import tempfile
from pathlib import Path

from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.detect import Detection
from provision.actions.knowledge import load_catalogue
from provision.core.pip_settings import parse_package_settings
from provision.errors import BadFileError, UsageError
from provision.model.network import NetworkView
from provision.model.packages import PackageSettings, SourceAttempt
from provision.model.profile import TorchBuild
from provision.system.hub_request import HubRequest, read_hub_request
from provision.system.network import ask_addresses, list_certificate_files, list_proxies
from provision.system.pip_files import load_pip_files


def look_at_network(
    ctx: Context,
    detection: Detection | None,
    *,
    hub: HubRequest | None,
    hub_problem: str | None = None,
) -> NetworkView:
    """The settings; with `detection` also what sources, indexes and the Hub answer, which takes seconds."""
    proxies = list_proxies(ctx.env)
    try:
        settings = parse_package_settings(load_pip_files(ctx.env), ctx.env, base=str(Path.cwd()))
    except BadFileError as error:
        return NetworkView(proxies=proxies, settings_problem=error.message, hub_problem=hub_problem)
    except ValueError as error:
        # An address such as http://[bad: urllib has no exception of its own for it.
        problem = f"pip's settings or variables name an address that is none: {error}"
        return NetworkView(proxies=proxies, settings_problem=problem, hub_problem=hub_problem)
    named = [("pip's cert", settings.certificate)] if settings.certificate else []
    view = NetworkView(
        proxies=proxies,
        certificates=list_certificate_files(ctx.env, named),
        hub_offline=hub.offline_by if hub else None,
        hub_problem=hub_problem,
    )
    return view if detection is None else _ask(ctx, view, settings, detection, hub)


def read_first_hub_request(ctx: Context) -> tuple[HubRequest | None, str | None]:
    """How the Hub would be asked for the first model that comes from it, or why it cannot be."""
    models = load_catalogue(ctx).models
    model = next((item for item in models if item.repo_id and item.revision), None)
    if model is None:
        return None, None
    try:
        return read_hub_request(str(model.repo_id), str(model.revision), ctx.env), None
    except UsageError as error:
        return None, error.message


def _ask(
    ctx: Context, view: NetworkView, settings: PackageSettings, detection: Detection, hub: HubRequest | None
) -> NetworkView:
    chosen = detection.profile and detection.knowledge.get_profile(detection.profile)
    build = detection.knowledge.builds[chosen.torch] if chosen else None
    index_urls = _list_index_urls(ctx, settings, build, detection.facts.host.platform)
    hub_urls = [] if hub is None or hub.offline_by else [f"{hub.endpoint}/api/models/{hub.repo_id}"]
    reaches = ask_addresses(
        [*index_urls, *hub_urls],
        env=ctx.env,
        certificate=settings.certificate,
        proxy=settings.proxy,
        trusted_hosts=settings.trusted_hosts,
    )
    platform = detection.facts.host.platform
    return replace(
        view,
        sources=_ask_sources(ctx, settings, build, platform) if build else None,
        index=reaches[: len(index_urls)],
        hub=reaches[-1] if hub_urls else None,
    )


def _list_index_urls(
    ctx: Context, settings: PackageSettings, build: TorchBuild | None, platform: str
) -> list[str]:
    """The user's own indexes where they name any, else those that torch would be asked of."""
    from provision.actions.uv_setup import build_uv
    from provision.core.sources import build_sources

    if settings.sources or settings.no_index or build is None:
        urls = [source.location or "" for source in settings.sources]
        return [url for url in urls if url.startswith("http")]
    with tempfile.TemporaryDirectory(prefix="provision-doctor-") as folder:
        uv = build_uv(ctx, settings, Path(folder))
        found = [uv.find_index(source) for source in build_sources(settings, build, platform)]
    return [url for url in found if url is not None]


def _ask_sources(
    ctx: Context, settings: PackageSettings, build: TorchBuild, platform: str
) -> tuple[SourceAttempt, ...]:
    from provision.actions.torch_source import find_torch
    from provision.actions.uv_setup import build_uv

    with tempfile.TemporaryDirectory(prefix="provision-doctor-") as folder:
        uv = build_uv(ctx, settings, Path(folder))
        return tuple(find_torch(ctx, uv, build, platform, torchvision_needed=False))
