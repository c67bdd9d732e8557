"""Package sources, the Hub, proxies and certificates."""

from __future__ import annotations

from urllib.parse import urlsplit

from provision.core.checks.check import Check, Checkup, Needs
from provision.core.checks.results import Result, failed, passed, skipped, warned
from provision.core.shells import render_export, render_unset
from provision.model.network import NetworkView, Reach, ReachKind
from provision.model.packages import Answer

_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_ASKED_ONLY = "asked with --network only"


def check_packages(checkup: Checkup) -> Result:
    """A source of packages that serves the profile's torch."""
    network = checkup.network
    if network.settings_problem is not None:
        return failed(network.settings_problem, "pip config debug")
    if not checkup.scope.network:
        return skipped(_ASKED_ONLY)
    if network.sources is None:
        return skipped("no profile fits, so no torch can be asked for")
    answers = "; ".join(f"{item.source.label}: {item.answer}, {item.detail}" for item in network.sources)
    serving = any(item.answer is Answer.SERVES for item in network.sources)
    silent = any(item.answer is Answer.UNREACHABLE for item in network.sources)
    if not serving:
        setting = render_export(checkup.place.shell, "PIP_INDEX_URL", "https://MIRROR/simple")
        return failed(answers, f"{setting}   # a mirror that answers, or the proxy in HTTPS_PROXY")
    return warned(answers) if silent else passed(answers)


def check_hub(checkup: Checkup) -> Result:
    """The Hub, which weights come from."""
    network = checkup.network
    if network.hub_problem is not None:
        return failed(network.hub_problem)
    if network.hub_offline is not None:
        evidence = f"{network.hub_offline} is set: weights are taken from the cache only"
        return warned(evidence, render_unset(checkup.place.shell, network.hub_offline))
    return skipped(_ASKED_ONLY) if network.hub is None else _judge_hub(checkup, network.hub)


def _judge_hub(checkup: Checkup, reach: Reach) -> Result:
    if reach.kind in (ReachKind.PROXY, ReachKind.CERTIFICATE):
        return failed(f"{_say(reach)}: network.{reach.kind}")
    if reach.kind is not ReachKind.ANSWERED:
        mirror = render_export(checkup.place.shell, "HF_ENDPOINT", "https://MIRROR")
        return failed(_say(reach), f"{mirror}   # a mirror that answers, or the proxy in HTTPS_PROXY")
    if reach.status is not None and reach.status >= 400:
        return warned(f"{reach.label} answers, but with {reach.status} for a public model")
    return passed(_say(reach))


def check_proxy(checkup: Checkup) -> Result:
    """The proxy that variables name; with --network also whether it answers."""
    network = checkup.network
    refused = [reach for reach in _list_reaches(network) if reach.kind is ReachKind.PROXY]
    if refused:
        names = [name for name, _ in network.proxies]
        return failed("; ".join(_say(reach) for reach in refused), render_unset(checkup.place.shell, *names))
    if not network.proxies:
        return passed("no proxy is set")
    told = ", ".join(f"{name}={value}" for name, value in network.proxies)
    for name, value in network.proxies:
        if not _is_proxy(value):
            cure = render_export(checkup.place.shell, name, "http://HOST:PORT")
            return failed(f"{name} is {value!r}, which is no address of a proxy", cure)
    differing = _find_difference(network)
    if differing is not None:
        evidence = (
            f"{differing} and {differing.upper()} differ ({told}): programs do not agree which one counts"
        )
        return warned(evidence, render_unset(checkup.place.shell, differing))
    return passed(
        told if network.index is not None else f"{told}; whether it answers is asked with --network"
    )


def _is_proxy(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in _SCHEMES and bool(parts.hostname)


def check_certificate(checkup: Checkup) -> Result:
    """Certificates that are named, and with --network whether somebody stands in between."""
    network, shell = checkup.network, checkup.place.shell
    for file in network.certificates:
        if file.problem is not None:
            cure = render_unset(shell, file.origin) if file.origin.isupper() else f"ls -l {file.path}"
            return failed(f"{file.origin} names {file.path}: {file.problem}", cure)
    refused = [reach for reach in _list_reaches(network) if reach.kind is ReachKind.CERTIFICATE]
    if refused:
        setting = render_export(shell, "SSL_CERT_FILE", "/path/to/authority.pem")
        evidence = "; ".join(_say(reach) for reach in refused)
        return failed(
            f"{evidence}. Somebody between here and there answers with a certificate of their own, as company "
            "networks do, or the system's list of authorities is old",
            f"{setting}   # the authority's certificate, from whoever runs the network",
        )
    if network.certificates:
        paths = list(dict.fromkeys(file.path for file in network.certificates))
        return passed(f"certificates of one's own can be read: {', '.join(paths)}")
    if network.index is None:
        return passed(
            "no certificates of one's own are named; whether they are needed is asked with --network"
        )
    return passed("the certificates of every address that answered were accepted")


def _list_reaches(network: NetworkView) -> list[Reach]:
    return [*(network.index or ()), *((network.hub,) if network.hub else ())]


def _find_difference(network: NetworkView) -> str | None:
    values = dict(network.proxies)
    return next(
        (
            name
            for name in values
            if name.islower() and name.upper() in values and values[name] != values[name.upper()]
        ),
        None,
    )


def _say(reach: Reach) -> str:
    return f"{reach.label}: {reach.detail}"


CHECKS = (
    Check(
        id="network.packages",
        question="Does a source of packages serve the profile's torch?",
        run=check_packages,
        needs=Needs.HERE,
    ),
    Check(id="network.hub", question="Does the Hub answer?", run=check_hub, needs=Needs.NETWORK),
    Check(
        id="network.proxy",
        question="Is the proxy that variables name one, and does it answer?",
        run=check_proxy,
        needs=Needs.HERE,
    ),
    Check(
        id="network.certificate",
        question="Are certificates accepted, or does somebody stand in between?",
        run=check_certificate,
        needs=Needs.HERE,
    ),
)
