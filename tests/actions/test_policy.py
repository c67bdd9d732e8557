"""How packages are chosen: the cool-down, what a source without dates does, and answers that are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions.lock_stack import resolve_stack
from provision.actions.package_policy import Policy, build_policy
from provision.core.locks import find_undated
from provision.errors import DownloadError, UsageError
from tests.support.index_server import IndexServer
from tests.support.reports import Recorder
from tests.support.sources import PLATFORM, SPEC, make_build, make_context, make_wheels
from tests.support.wheels import build_wheel, serve_index


def test_a_week_old_is_old_enough_unless_something_else_is_asked(tmp_path: Path) -> None:
    ctx = make_context(tmp_path, {})
    assert build_policy(ctx).exclude_newer == "2026-11-14T00:00:00Z"
    assert build_policy(ctx, "2026-01-31").exclude_newer == "2026-01-31T00:00:00Z"
    assert build_policy(ctx, "2026-01-31T10:00:00+02:00").exclude_newer == "2026-01-31T08:00:00Z"
    assert build_policy(ctx, "never").exclude_newer is None
    assert build_policy(make_context(tmp_path, {"UV_EXCLUDE_NEWER": "2025-05-05"})).exclude_newer == (
        "2025-05-05T00:00:00Z"
    )
    assert build_policy(ctx, "3 days").exclude_newer == "2026-11-18T00:00:00Z"
    assert build_policy(ctx, "2 weeks").exclude_newer == "2026-11-07T00:00:00Z"
    with pytest.raises(UsageError) as caught:
        build_policy(ctx, "last week")
    assert (caught.value.message, caught.value.hint) == (
        "--exclude-newer: 'last week' is no date",
        "--exclude-newer 2026-01-31, --exclude-newer '3 days', or --exclude-newer never",
    )
    with pytest.raises(UsageError, match="^UV_EXCLUDE_NEWER: 'soon' is no date$"):
        build_policy(make_context(tmp_path, {"UV_EXCLUDE_NEWER": "soon"}))


def test_an_index_without_dates_is_taken_as_it_is_and_said(tmp_path: Path) -> None:
    wheels = make_wheels(tmp_path / "wheels", ("torch", "2.13.0+cpu"))
    with serve_index(tmp_path / "index", wheels) as url:
        ctx = make_context(tmp_path, {"PIP_INDEX_URL": url})
        stack = resolve_stack(ctx, SPEC, make_build("cpu"), PLATFORM)
    assert stack.lock.versions == {"numpy": "2.4.6", "torch": "2.13.0+cpu", "transformers": "5.22.2"}
    recorder = ctx.reporter
    assert isinstance(recorder, Recorder)
    assert (
        "warn: the source of numpy does not say when files were uploaded: the newest are taken, however young"
    ) in recorder.lines
    assert not (tmp_path / ".cache" / "provision").exists(), "it may answer otherwise in an hour"


def test_the_same_question_is_asked_once_a_day(tmp_path: Path) -> None:
    wheels = make_wheels(tmp_path / "wheels", ("torch", "2.13.0+cpu"))
    env = {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"}

    def resolve(**changes: str) -> tuple[dict[str, str], bool]:
        ctx = make_context(tmp_path, env | changes)
        stack = resolve_stack(ctx, SPEC, make_build("cpu"), PLATFORM)
        recorder = ctx.reporter
        assert isinstance(recorder, Recorder)
        return stack.lock.versions, any(line.startswith("detail: resolving ") for line in recorder.lines)

    first, asked = resolve()
    assert asked
    assert resolve() == (first, False)
    assert resolve(UV_EXCLUDE_NEWER="2026-11-01")[1], "another day is another question"
    build_wheel(wheels, "numpy", "2.5.0")
    assert resolve() == (first | {"numpy": "2.5.0"}, True), "what the folder holds is part of the question"


def test_what_does_not_resolve_is_kept_too(tmp_path: Path) -> None:
    wheels = make_wheels(tmp_path / "wheels", ("torch", "2.13.0+cpu"))
    env = {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"}
    spec = replace(SPEC, requirements=("transformers==9",))
    for _ in range(2):
        with pytest.raises(
            Exception, match=r"the packages of stack main cannot be resolved: .*transformers==9"
        ):
            resolve_stack(make_context(tmp_path, env), spec, make_build("cpu"), PLATFORM)


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    wheels = make_wheels(tmp_path / "wheels", ("torch", "2.13.0+cpu"))
    (tmp_path / "file").touch()
    env = {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1", "PROVISION_CACHE_DIR": str(tmp_path / "file")}
    stack = resolve_stack(make_context(tmp_path, env), SPEC, make_build("cpu"), PLATFORM, policy=Policy())
    assert stack.lock.versions["numpy"] == "2.4.6"


@pytest.mark.parametrize(
    ("output", "names"),
    [
        (
            "warning: `bar-1.1-py3-none-any.whl` is missing an upload date, but user provided: 2026-11-15T00:00:00Z\n"
            "warning: `Foo_X-1.0.tar.gz` is missing an upload date, but user provided: 2026-11-15T00:00:00Z\n",
            {"bar", "foo-x"},
        ),
        (
            "hint: `huggingface-hub` was filtered by `exclude-newer` to only include packages uploaded before "
            "2020-11-15T00:00:00Z. The latest version satisfying the requirement is v2.4.0, published at "
            "2026-10-29T15:30:10Z. Consider using `exclude-newer-package` to override the cutoff.\n",
            set(),
        ),
        ("warning: `nonsense.whl` is missing an upload date, but user provided: x\n", set()),
    ],
)
def test_only_what_has_no_date_counts_as_undated(output: str, names: set[str]) -> None:
    """uv's own words, recorded with 0.13.9."""
    assert find_undated(output) == names


def test_what_is_too_young_is_refused_and_the_date_is_named(tmp_path: Path) -> None:
    wheels = make_wheels(tmp_path / "wheels", ("torch", "2.13.0+cpu"))
    moments = {"numpy": "2026-11-20T00:00:00Z", "transformers": "2026-01-01T00:00:00Z"}
    with IndexServer([wheels], uploads=moments) as server:
        ctx = make_context(tmp_path, {"PIP_INDEX_URL": server.url})
        with pytest.raises(
            DownloadError, match=r"; files uploaded after 2026-11-14T00:00:00Z are not taken$"
        ):
            resolve_stack(ctx, SPEC, make_build("cpu"), PLATFORM)
