"""Checks of this very machine: disk, memory, network settings, Python, state, variables, environments."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from provision.core.checks import CHECKS, run_checks
from provision.core.checks.resources import HUB_CACHE, STATE, TEMPORARY, UV_CACHE
from provision.model.checkup import (
    ComputedEnvironment,
    ConfigView,
    InspectedEnvironment,
    LockState,
    Place,
    PythonView,
    Scope,
    Shell,
    Space,
    StackState,
    StateView,
)
from provision.model.environment import EnvironmentKind, EnvironmentReport, LibraryFolder
from provision.model.facts import Gpu, Vendor
from provision.model.finding import Finding, Severity
from provision.model.into import CutChange, CutKind
from provision.model.network import CertificateFile, NetworkView, Reach, ReachKind
from provision.model.packages import Answer, Source, SourceAttempt, SourceKind
from tests.support.checkups import FakeCheckup, make_checkup, make_host
from tests.support.machines import LINUX, make_facts, make_gpu

GB = 10**9


def look(check: str, **changes: object) -> Finding:
    """The first finding of `check` on a Linux machine without a GPU."""
    checkup = make_checkup(make_facts(host=make_host(memory_bytes=2**35)), **changes)
    return run_checks([CHECKS[check]], checkup).findings[0]


def make_space(purpose: str, free: int, device: int = 1, path: str = "/srv") -> Space:
    return Space(purpose=purpose, path=path, device=device, free_bytes=free)


@pytest.mark.parametrize(
    ("spaces", "profile", "built", "severity"),
    [
        ((make_space(STATE, 20 * GB), make_space(UV_CACHE, 20 * GB)), "ada", False, Severity.PASS),
        ((make_space(STATE, 5 * GB),), "ada", False, Severity.FAIL),
        ((make_space(STATE, 5 * GB),), "cpu", False, Severity.PASS),
        ((make_space(STATE, 13 * GB), make_space(HUB_CACHE, 13 * GB)), "ada", False, Severity.FAIL),
        ((make_space(STATE, 13 * GB), make_space(HUB_CACHE, 5 * GB, 2)), "ada", False, Severity.WARN),
        ((make_space(STATE, 13 * GB), make_space(TEMPORARY, GB // 2, 2)), "ada", False, Severity.FAIL),
        ((make_space(STATE, 2 * GB),), "ada", True, Severity.PASS),
        ((make_space(STATE, GB // 8),), "ada", True, Severity.FAIL),
    ],
)
def test_disk(spaces: tuple[Space, ...], profile: str, built: bool, severity: Severity) -> None:
    state = StateView(generation=1 if built else None)
    assert look("disk.space", spaces=spaces, profile=profile, state=state).severity is severity


def test_disk_says_what_is_where() -> None:
    spaces = (make_space(STATE, 5 * GB, path="/my data"), make_space(UV_CACHE, 90 * GB, 2))
    assert look("disk.space", spaces=spaces, profile="ada") == Finding(
        id="disk.space",
        severity=Severity.FAIL,
        evidence="state folder: 5.0 GB free; uv's cache: 90.0 GB free; a stack needs up to 12 GB",
        cure="df -h '/my data' && uv cache prune",
    )


def test_links() -> None:
    same = (make_space(STATE, GB), make_space(UV_CACHE, GB))
    assert look("disk.links", spaces=same).severity is Severity.PASS
    apart = (make_space(STATE, GB, path="/srv/app"), make_space(UV_CACHE, GB, 2, "/home/a/.cache/uv"))
    assert look("disk.links", spaces=apart) == Finding(
        id="disk.links",
        severity=Severity.WARN,
        evidence="uv's cache (/home/a/.cache/uv) is on another file system than the state folder: stacks are "
        "copies, which take their space twice",
        cure="export UV_CACHE_DIR=/srv/app/.uv-cache",
    )


def test_memory_under_a_containers_limit() -> None:
    assert look("memory.size").evidence == "32.0 GiB of memory"
    limited = look("memory.size", memory_limit_bytes=2**31)
    assert limited.severity is Severity.WARN
    assert limited.evidence == "32.0 GiB of memory, of which this container may use 2.0 GiB"


def test_shared_memory_of_a_container() -> None:
    assert look("memory.shm", shared_memory_bytes=None).severity is Severity.SKIP
    checkup = make_checkup(make_facts(host=make_host(container="docker")), shared_memory_bytes=64 * 2**20)
    [finding] = run_checks([CHECKS["memory.shm"]], checkup).findings
    assert finding.severity is Severity.WARN
    assert finding.cure == "docker run --shm-size=8g …   # or --ipc=host; on the host"


@pytest.mark.parametrize(
    ("changes", "check", "evidence"),
    [
        ({"version": "3.9.18"}, "python.version", "Python 3.9.18; wheels of torch exist for 3.10 to 3.14"),
        ({"version": "3.15.0"}, "python.version", "Python 3.15.0; wheels of torch exist for 3.10 to 3.14"),
        (
            {"implementation": "pypy"},
            "python.wheels",
            "pypy, 64 bit, glibc 2.39: wheels of torch are for CPython only",
        ),
        ({"bits": 32}, "python.wheels", "cpython, 32 bit, glibc 2.39: wheels of torch are for 64 bit only"),
        (
            {"libc": "musl"},
            "python.wheels",
            "cpython, 64 bit, musl: no wheel of torch is for musl; take a distribution with glibc, such as Debian",
        ),
        (
            {"libc": "glibc 2.17"},
            "python.wheels",
            "cpython, 64 bit, glibc 2.17: wheels of torch need glibc 2.28, that is a newer release of the system",
        ),
        (
            {"free_threaded": True},
            "python.wheels",
            "cpython, 64 bit, glibc 2.39, free-threaded: few packages have wheels for it",
        ),
    ],
)
def test_python(changes: dict[str, object], check: str, evidence: str) -> None:
    fields = {
        "version": "3.12.3",
        "implementation": "cpython",
        "bits": 64,
        "libc": "glibc 2.39",
        "free_threaded": False,
    }
    finding = look(check, python=PythonView(**(fields | changes)))  # type: ignore[arg-type]
    assert (finding.severity, finding.evidence) == (Severity.FAIL, evidence)
    assert look(check).severity is Severity.PASS


def make_attempt(answer: Answer, detail: str) -> SourceAttempt:
    source = Source(
        kind=SourceKind.INDEX, location="https://m/simple", origin="pip", label="https://m/simple"
    )
    return SourceAttempt(source=source, answer=answer, detail=detail)


def test_packages() -> None:
    scope = Scope(network=True)
    serving = NetworkView(sources=(make_attempt(Answer.SERVES, "torch 2.13.0"),))
    assert look("network.packages", scope=scope, network=serving).severity is Severity.PASS
    silent = NetworkView(
        sources=(make_attempt(Answer.UNREACHABLE, "refused"), make_attempt(Answer.SERVES, "t"))
    )
    assert look("network.packages", scope=scope, network=silent).severity is Severity.WARN
    none = NetworkView(sources=(make_attempt(Answer.UNREACHABLE, "refused"),))
    assert look("network.packages", scope=scope, network=none) == Finding(
        id="network.packages",
        severity=Severity.FAIL,
        evidence="https://m/simple: unreachable, refused",
        cure="export PIP_INDEX_URL=https://MIRROR/simple   # a mirror that answers, or the proxy in HTTPS_PROXY",
    )
    damaged = NetworkView(settings_problem="/etc/pip.conf: not a pip configuration file: line 1")
    finding = look("network.packages", scope=scope, network=damaged)
    assert (finding.severity, finding.cure) == (Severity.FAIL, "pip config debug")


def make_reach(kind: ReachKind, detail: str, status: int | None = None) -> Reach:
    return Reach(label="https://hub.example", kind=kind, detail=detail, status=status)


def test_hub() -> None:
    scope = Scope(network=True)
    well = NetworkView(hub=make_reach(ReachKind.ANSWERED, "answers (200)", 200))
    assert look("network.hub", scope=scope, network=well).severity is Severity.PASS
    odd = NetworkView(hub=make_reach(ReachKind.ANSWERED, "answers (403)", 403))
    assert look("network.hub", scope=scope, network=odd).severity is Severity.WARN
    gone = NetworkView(hub=make_reach(ReachKind.NAME, "the name cannot be resolved"))
    finding = look("network.hub", scope=scope, network=gone)
    assert (finding.severity, finding.evidence) == (
        Severity.FAIL,
        "https://hub.example: the name cannot be resolved",
    )
    offline = look("network.hub", scope=scope, network=NetworkView(hub_offline="HF_HUB_OFFLINE"))
    assert (offline.severity, offline.cure) == (Severity.WARN, "unset HF_HUB_OFFLINE")


@pytest.mark.parametrize(
    ("proxies", "severity", "evidence"),
    [
        ((), Severity.PASS, "no proxy is set"),
        (
            (("https_proxy", "http://proxy.example:3128"),),
            Severity.PASS,
            "https_proxy=http://proxy.example:3128; whether it answers is asked with --network",
        ),
        (
            (("HTTPS_PROXY", "proxy.example:3128"),),
            Severity.FAIL,
            "HTTPS_PROXY is 'proxy.example:3128', which is no address of a proxy",
        ),
        (
            (("https_proxy", "http://a:1"), ("HTTPS_PROXY", "http://b:1")),
            Severity.WARN,
            "https_proxy and HTTPS_PROXY differ (https_proxy=http://a:1, HTTPS_PROXY=http://b:1): programs do not "
            "agree which one counts",
        ),
    ],
)
def test_proxy(proxies: tuple[tuple[str, str], ...], severity: Severity, evidence: str) -> None:
    finding = look("network.proxy", network=NetworkView(proxies=proxies))
    assert (finding.severity, finding.evidence) == (severity, evidence)


def test_a_proxy_that_does_not_answer() -> None:
    network = NetworkView(
        proxies=(("https_proxy", "http://a:1"),),
        index=(make_reach(ReachKind.PROXY, "the proxy does not answer"),),
    )
    finding = look("network.proxy", network=network)
    assert (finding.severity, finding.cure) == (Severity.FAIL, "unset https_proxy")


def test_certificates() -> None:
    missing = CertificateFile(origin="SSL_CERT_FILE", path="/gone.pem", problem="No such file or directory")
    assert look("network.certificate", network=NetworkView(certificates=(missing,))) == Finding(
        id="network.certificate",
        severity=Severity.FAIL,
        evidence="SSL_CERT_FILE names /gone.pem: No such file or directory",
        cure="unset SSL_CERT_FILE",
    )
    caught = NetworkView(
        index=(make_reach(ReachKind.CERTIFICATE, "its certificate was refused: self-signed"),)
    )
    finding = look("network.certificate", network=caught)
    assert finding.severity is Severity.FAIL
    assert finding.evidence.startswith(
        "https://hub.example: its certificate was refused: self-signed. Somebody "
    )
    assert str(finding.cure).startswith("export SSL_CERT_FILE=/path/to/authority.pem   # ")


@pytest.mark.parametrize(
    ("check", "changes", "severity", "evidence", "cure"),
    [
        ("state.whole", {}, Severity.SKIP, "nothing was applied here", None),
        (
            "state.whole",
            {"state": StateView(generation=3)},
            Severity.PASS,
            "generation 3 is active",
            None,
        ),
        (
            "state.whole",
            {"state": StateView(generation=None, problem="active is damaged")},
            Severity.FAIL,
            "active is damaged",
            "provision apply auto",
        ),
        (
            "state.whole",
            {"state": StateView(generation=2, pending=2)},
            Severity.WARN,
            "an apply was cut short while it activated a generation",
            "provision doctor --fix",
        ),
        (
            "state.lock",
            {
                "state": StateView(
                    generation=1, lock=LockState.HELD, lock_holder="it is in use by `x` (pid 1)"
                )
            },
            Severity.WARN,
            "it is in use by `x` (pid 1)",
            None,
        ),
        (
            "state.leftovers",
            {"state": StateView(generation=1, leftovers=("a", "b", "c", "d", "e"))},
            Severity.WARN,
            "left by interrupted runs: a, b, c, d and 1 more",
            "provision doctor --fix",
        ),
        (
            "state.into",
            {"state": StateView(generation=1, cut_changes=(CutChange(kind=CutKind.CHANGING, place="/v 1"),))},
            Severity.FAIL,
            "a change of /v 1 was cut short, and it may be half changed",
            "provision apply auto --into '/v 1' --undo",
        ),
        (
            "state.into",
            {"state": StateView(generation=1, cut_changes=(CutChange(kind=CutKind.STAGING, place="/v"),))},
            Severity.WARN,
            "a change of /v was cut short before anything of it was touched",
            "provision gc",
        ),
        (
            "state.into",
            {
                "state": StateView(
                    generation=1,
                    cut_changes=(
                        CutChange(kind=CutKind.VERIFIED, place="/v"),
                        CutChange(kind=CutKind.RECORD, place="/i/finished.json"),
                    ),
                )
            },
            Severity.WARN,
            "a change of /v was cut short at its end, when all was verified; /i/finished.json cannot be read, so "
            "the change that it tells of can be undone no more",
            "provision gc",
        ),
        (
            "state.into",
            {
                "state": StateView(
                    generation=1, cut_changes=(CutChange(kind=CutKind.LOST, place="/i/journal.json"),)
                )
            },
            Severity.FAIL,
            "/i/journal.json cannot be read, nor do the snapshots beside it tell which change it was of",
            None,
        ),
        (
            "state.into",
            {
                "state": StateView(
                    generation=1,
                    lock=LockState.HELD,
                    cut_changes=(CutChange(kind=CutKind.CHANGING, place="/v"),),
                )
            },
            Severity.SKIP,
            "somebody works in the state folder, and a change of an environment with it: state.lock",
            None,
        ),
        (
            "stack.complete",
            {"stacks": (StackState(name="main", path="/s", problem="it is missing", packages=0),)},
            Severity.FAIL,
            "main: it is missing",
            "provision doctor --fix",
        ),
        (
            "weights.present",
            {"state": StateView(generation=1), "weights_problems": ("tiny: config.json is missing",)},
            Severity.FAIL,
            "tiny: config.json is missing",
            "provision doctor --fix",
        ),
        (
            "config.valid",
            {"config": ConfigView(exists=True, problem="config.yaml, line 3: bad")},
            Severity.FAIL,
            "config.yaml, line 3: bad",
            None,
        ),
        (
            "config.valid",
            {"state": StateView(generation=1)},
            Severity.FAIL,
            "there is no config.yaml",
            "provision doctor --fix",
        ),
        (
            "config.drift",
            {
                "state": StateView(generation=1),
                "config": ConfigView(exists=True, drift=("models.a.dtype is x",)),
            },
            Severity.WARN,
            "changed since it was written: models.a.dtype is x",
            "provision doctor --fix",
        ),
        ("tool.uv", {"uv": (None, "uv is missing")}, Severity.FAIL, "uv is missing", "./install.sh"),
        (
            "profile.fits",
            {"profile": None, "obstacle": "no profile fits it"},
            Severity.FAIL,
            "no profile fits it",
            "provision profiles",
        ),
        (
            "environment.ld-library-path",
            {
                "library_folders": (
                    LibraryFolder(
                        variable="LD_LIBRARY_PATH", path="/opt/cuda", libraries={"libcudart.so.12": "12.4.1"}
                    ),
                )
            },
            Severity.WARN,
            "LD_LIBRARY_PATH puts CUDA libraries before those of the wheels: /opt/cuda has libcudart.so.12",
            "unset LD_LIBRARY_PATH",
        ),
        (
            "environment.variables",
            {"env": {"PYTHONPATH": "/x", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "0"}},
            Severity.WARN,
            "PYTHONPATH is /x: every Python imports from there first; HF_HUB_OFFLINE is set: no weights are fetched",
            "unset PYTHONPATH HF_HUB_OFFLINE",
        ),
    ],
)
def test_what_is_on_this_machine(
    check: str, changes: dict[str, object], severity: Severity, evidence: str, cure: str | None
) -> None:
    assert look(check, **changes) == Finding(id=check, severity=severity, evidence=evidence, cure=cure)


def test_a_gpu_that_a_variable_hides() -> None:
    facts = make_facts(make_gpu("NVIDIA L4", "8.9"), host=make_host())
    checkup = make_checkup(facts, env={"CUDA_VISIBLE_DEVICES": "-1"})
    assert run_checks([CHECKS["environment.variables"]], checkup).findings == (
        Finding(
            id="environment.variables",
            severity=Severity.FAIL,
            evidence="CUDA_VISIBLE_DEVICES is '-1': CUDA programs see no GPU",
            cure="unset CUDA_VISIBLE_DEVICES",
        ),
    )


def test_each_environment_has_its_own_finding() -> None:
    report = EnvironmentReport(prefix="/e", kind=EnvironmentKind.NONE, problem="there is no such folder")
    environments = tuple(
        InspectedEnvironment(subject=subject, report=report) for subject in ("stack main", "/home/a/env")
    )
    check = CHECKS["stack.interpreter"]
    findings = run_checks([check], FakeCheckup(environments=environments)).findings
    assert [(finding.id, finding.subject, finding.severity) for finding in findings] == [
        ("stack.interpreter", "stack main", Severity.FAIL),
        ("stack.interpreter", "/home/a/env", Severity.FAIL),
    ]


def test_what_each_environment_computed() -> None:
    computed = tuple(
        ComputedEnvironment(
            subject=f"stack {name}",
            findings=(Finding(id="deep.import", severity=severity, evidence=f"{name} (1.00 s)"),),
        )
        for name, severity in (("main", Severity.PASS), ("other", Severity.FAIL))
    )
    checkup = FakeCheckup(computed=computed, scope=Scope(deep=True))
    findings = run_checks([CHECKS["deep.import"]], checkup).findings
    assert [(finding.subject, finding.severity, finding.evidence) for finding in findings] == [
        ("stack main", Severity.PASS, "main (1.00 s)"),
        ("stack other", Severity.FAIL, "other (1.00 s)"),
    ]
    [skipped] = run_checks([CHECKS["deep.import"]], FakeCheckup(computed=computed)).findings
    assert skipped.evidence == "asked with --deep only"


@pytest.mark.parametrize(
    ("value", "severity", "evidence", "cure"),
    [
        ("1,0", "pass", "none that changes what a stack loads or sees", None),
        ("MIG-1234", "pass", "none that changes what a stack loads or sees", None),
        (
            "2",
            "fail",
            "CUDA_VISIBLE_DEVICES is '2': CUDA programs see no GPU",
            "unset CUDA_VISIBLE_DEVICES",
        ),
        (
            "GPU-cccc",
            "fail",
            "CUDA_VISIBLE_DEVICES is 'GPU-cccc': CUDA programs see no GPU",
            "unset CUDA_VISIBLE_DEVICES",
        ),
        (
            "0,7,1",
            "warn",
            "CUDA_VISIBLE_DEVICES is '0,7,1': '7' is no GPU here, and what stands after it is not read; "
            "CUDA programs see 1 of 2 GPUs",
            "unset CUDA_VISIBLE_DEVICES",
        ),
    ],
)
def test_a_gpu_that_does_not_exist_ends_what_cuda_sees(
    value: str, severity: str, evidence: str, cure: str | None
) -> None:
    gpus = tuple(
        Gpu(name="NVIDIA L4", uuid=uuid, compute_capability="8.9") for uuid in ("GPU-aaaa", "GPU-bbbb")
    )
    facts = make_facts(vendor=Vendor.NVIDIA, gpus=gpus)
    checkup = make_checkup(facts, env={"CUDA_VISIBLE_DEVICES": value})
    [finding] = run_checks([CHECKS["environment.variables"]], checkup).findings
    assert finding == Finding(
        id="environment.variables", severity=Severity(severity), evidence=evidence, cure=cure
    )


@pytest.mark.parametrize(
    ("spaces", "severity", "evidence", "cure"),
    [
        ((make_space(STATE, GB),), "pass", "every folder that is written to can be written to", None),
        (
            (
                replace(make_space(STATE, GB), writable=False),
                replace(make_space(UV_CACHE, GB), writable=False),
            ),
            "fail",
            "state folder: /srv cannot be written to; uv's cache: /srv cannot be written to",
            "ls -ld /srv && df /srv",
        ),
        (
            (replace(make_space(TEMPORARY, GB), missing="/data/tmp"),),
            "warn",
            "temporary files are to go to /data/tmp, which does not exist",
            "unset TMPDIR",
        ),
        (
            (replace(make_space(STATE, GB), missing="/data/.provision"),),
            "pass",
            "every folder that is written to can be written to",
            None,
        ),
        ((), "skip", "where stacks and weights go is not known", None),
    ],
)
def test_folders_that_cannot_be_written_to(
    spaces: tuple[Space, ...], severity: str, evidence: str, cure: str | None
) -> None:
    assert look("disk.writable", spaces=spaces) == Finding(
        id="disk.writable", severity=Severity(severity), evidence=evidence, cure=cure
    )


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        (
            {"state": StateView(generation=None, pending_problem="pending.json is damaged")},
            Finding(
                id="state.whole",
                severity=Severity.FAIL,
                evidence="pending.json is damaged",
                cure="provision doctor --fix --root '/srv/my app'",
            ),
        ),
        (
            {
                "state": StateView(generation=3),
                "config": ConfigView(exists=True, path="/srv/c.yaml", problem="line 2: no"),
            },
            Finding(
                id="config.valid",
                severity=Severity.FAIL,
                evidence="line 2: no",
                cure="mv /srv/c.yaml /srv/c.yaml.broken; provision doctor --fix --root '/srv/my app'   "
                "# or correct that line",
            ),
        ),
    ],
)
def test_cures_name_the_folder_that_was_looked_at(changes: dict[str, object], finding: Finding) -> None:
    place = Place(host=LINUX, shell=Shell.POSIX, root="/srv/my app")
    assert look(finding.id, place=place, **changes) == finding


@pytest.mark.parametrize("kind", [ReachKind.PROXY, ReachKind.CERTIFICATE])
def test_the_hub_behind_a_proxy_or_certificate_is_told_where_it_is_cured(kind: ReachKind) -> None:
    reach = Reach(label="https://hub.example", kind=kind, detail="no")
    finding = look("network.hub", scope=Scope(network=True), network=NetworkView(hub=reach))
    assert (finding.severity, finding.evidence, finding.cure) == (
        Severity.FAIL,
        f"https://hub.example: no: network.{kind}",
        None,
    )


def test_an_address_that_is_none_is_no_proxy() -> None:
    finding = look("network.proxy", network=NetworkView(proxies=(("HTTPS_PROXY", "http://[bad"),)))
    assert finding.severity is Severity.FAIL
    assert finding.evidence == "HTTPS_PROXY is 'http://[bad', which is no address of a proxy"


def test_why_the_hub_cannot_be_asked() -> None:
    view = NetworkView(hub_problem="HF_TOKEN holds characters that no token has")
    finding = look("network.hub", scope=Scope(network=True), network=view)
    assert (finding.severity, finding.evidence) == (
        Severity.FAIL,
        "HF_TOKEN holds characters that no token has",
    )
