"""How uv is told of sources of packages: folders as arguments, addresses, which may hold a login, as variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from provision.model.packages import PackageSettings, Source, SourceKind


def tell_connection(env: Mapping[str, str], settings: PackageSettings) -> dict[str, str]:
    """`env` with pip's certificates, proxy, trusted hosts and time limit in uv's words; what it says itself stays."""
    told = {
        "SSL_CERT_FILE": settings.certificate,
        "SSL_CLIENT_CERT": settings.client_certificate,
        "ALL_PROXY": settings.proxy,
        "UV_INSECURE_HOST": " ".join(settings.trusted_hosts),
        "UV_HTTP_TIMEOUT": str(int(settings.timeout_s)) if settings.timeout_s else None,
    }
    return {name: value for name, value in told.items() if value} | dict(env)


def isolate(source: Source) -> list[str]:
    """Arguments that let uv see nothing but `source`, with `name_only`."""
    match source.kind:
        case SourceKind.FIND_LINKS:
            return ["--no-config", "--no-index", *_find_links(source)]
        case SourceKind.DEFAULT:
            # A uv.toml of the user's is part of what uv takes for its default.
            return []
        case _:
            return ["--no-config"]


def name_only(source: Source) -> dict[str, str]:
    """The variables that name `source` as the only index. Arguments, and a login in them, are for all to read."""
    match source.kind:
        case SourceKind.FIND_LINKS:
            return _name_find_links([source])
        case SourceKind.DEFAULT:
            return {}
        case _:
            return {"UV_DEFAULT_INDEX": str(source.location)}


def combine(sources: Iterable[Source], *, no_index: bool) -> list[str]:
    """Arguments for all of the user's sources together, as pip combines them: the best version wins."""
    argv = ["--index-strategy", "unsafe-best-match"]
    if no_index:
        argv += ["--no-index"]
    for source in sources:
        if source.kind is SourceKind.FIND_LINKS:
            argv += _find_links(source)
    return argv


def name_indexes(
    sources: Iterable[Source], *, no_index: bool, torch_index: str | None = None
) -> dict[str, str]:
    """The variables that name the user's indexes, and torch's: a login in arguments would be for all to read."""
    sources = tuple(sources)
    if no_index:
        return _name_find_links(sources)
    main = [str(source.location) for source in sources if source.kind is SourceKind.INDEX]
    more = [str(source.location) for source in sources if source.kind is SourceKind.EXTRA_INDEX]
    more += [torch_index] if torch_index else []
    named = {"UV_DEFAULT_INDEX": main[-1]} if main else {}
    return named | ({"UV_INDEX": " ".join(more)} if more else {}) | _name_find_links(sources)


def _find_links(source: Source) -> list[str]:
    """A folder goes as an argument, since the variable is split at commas; a page with a login does not."""
    return [] if "@" in str(source.location) else ["--find-links", str(source.location)]


def _name_find_links(sources: Iterable[Source]) -> dict[str, str]:
    pages = [
        str(source.location)
        for source in sources
        if source.kind is SourceKind.FIND_LINKS and not _find_links(source)
    ]
    return {"UV_FIND_LINKS": ",".join(pages)} if pages else {}
