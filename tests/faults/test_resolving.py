"""An index whose pages go wrong: the same lock in the end, or one clear error and a next run that succeeds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provision.errors import DownloadError, ProvisionError
from provision.model.packages import Answer
from tests.faults.mirror import PINS, Mirror, list_pins, list_stacks
from tests.support import index_faults
from tests.support.index_faults import Fault
from tests.support.index_server import IndexServer
from tests.support.sources import DEAD

LASTING: dict[str, tuple[str, Fault]] = {
    "busy": ("/simple/*", index_faults.refuse(503)),
    "busy, come back": ("/simple/numpy/", index_faults.refuse(503, retry_after_s=1)),
    "throttled": ("/simple/*", index_faults.refuse(429)),
    "forbidden": ("/simple/*", index_faults.refuse(403)),
    "forbidden in part": ("/simple/numpy/", index_faults.refuse(403)),
    "gone": ("/simple/numpy/", index_faults.refuse(404)),
    "reset at once": ("/simple/*", index_faults.reset_at(0)),
    "reset within": ("/simple/transformers/", index_faults.reset_at(0.5)),
    "cut short": ("/simple/numpy/", index_faults.truncate_at(0.5)),
    "silent": ("/simple/numpy/", index_faults.stall),
    "login page": ("*", index_faults.show_login_page),
    "login page for one": ("/simple/numpy/", index_faults.show_login_page),
    "redirected in a circle": ("/simple/torch/", index_faults.redirect_to("/simple/torch/")),
    "longer than told": ("/simple/numpy/", index_faults.declare_length(-5)),
    "shorter than told": ("/simple/numpy/", index_faults.declare_length(5)),
    "metadata garbled": ("*.metadata", index_faults.flip_byte),
    "metadata cut short": ("*.metadata", index_faults.truncate_at(0.5)),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_page_that_stays_wrong_is_one_error_and_forgotten_afterwards(mirror: Mirror, name: str) -> None:
    mirror.server.fail(*LASTING[name])
    with pytest.raises(ProvisionError) as caught:
        mirror.resolve()
    mirror.check_refused(caught)
    assert isinstance(caught.value, DownloadError), caught.value
    mirror.server.heal()
    assert list_pins(mirror.resolve()) == PINS


PASSING: dict[str, tuple[str, Fault, int]] = {
    "busy": ("/simple/numpy/", index_faults.refuse(503), 1),
    "throttled": ("/simple/transformers/", index_faults.refuse(429, retry_after_s=1), 1),
    "reset at once": ("/simple/numpy/", index_faults.reset_at(0), 1),
    "reset within": ("/simple/numpy/", index_faults.reset_at(0.5), 1),
    "metadata reset": ("*numpy*.metadata", index_faults.reset_at(0.5), 1),
    "slow": ("/simple/*", index_faults.dribble(4000), 100),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_tried_again(mirror: Mirror, name: str) -> None:
    pattern, fault, times = PASSING[name]
    mirror.server.fail(pattern, fault, times=times)
    assert list_pins(mirror.resolve(UV_HTTP_RETRIES="2")) == PINS


@pytest.mark.slow
def test_a_source_that_is_silent_is_given_up(mirror: Mirror) -> None:
    """A source is asked for torch with a limit of 10 s, whatever the user's is."""
    mirror.server.fail("/simple/torch/", index_faults.stall)
    with pytest.raises(DownloadError, match="operation timed out"):
        mirror.resolve()


def test_without_any_network_each_source_is_named_with_its_answer(mirror: Mirror) -> None:
    with pytest.raises(DownloadError) as caught:
        mirror.resolve(PIP_INDEX_URL=DEAD)
    mirror.check_refused(caught)
    assert caught.value.message.startswith("no source of packages serves torch 2.13.0 for the CPU. ")
    assert caught.value.message.count("Connection refused") == 3
    assert list_pins(mirror.resolve()) == PINS


def test_a_mirror_of_former_years_is_enough(mirror: Mirror) -> None:
    """HTML pages, no metadata files: uv reads the ends of the wheels."""
    mirror.server.serves_json = mirror.server.serves_metadata = False
    assert list_pins(mirror.resolve()) == PINS
    assert mirror.server.list_fetched("*.metadata") == []


def test_a_mirror_that_works_is_not_blamed_for_one_that_does_not(mirror: Mirror) -> None:
    stack = mirror.resolve(PIP_EXTRA_INDEX_URL=DEAD)
    assert list_pins(stack) == PINS
    asked = [(attempt.source.origin, attempt.answer) for attempt in stack.attempts]
    assert asked[:2] == [("PIP_INDEX_URL", Answer.SERVES), ("PIP_EXTRA_INDEX_URL", Answer.UNREACHABLE)]


def test_a_certificate_that_does_not_verify_is_named(tmp_path: Path, wheels: Path) -> None:
    pem = make_certificate(tmp_path)
    with IndexServer((wheels,), certificate=pem) as server:
        mirror = Mirror(folder=tmp_path, server=server)
        with pytest.raises(DownloadError, match="certificate") as caught:
            mirror.resolve()
        mirror.check_refused(caught)
        assert list_pins(mirror.resolve(PIP_CERT=str(pem))) == PINS
        assert list_stacks(mirror.store) == []


def make_certificate(folder: Path) -> Path:
    """A certificate that signs itself, with its key, in one file."""
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    argv += ["-addext", "basicConstraints=critical,CA:FALSE"]
    argv += ["-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run(argv, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl, which makes the certificate, is not installed")
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both
