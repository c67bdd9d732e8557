"""What goes into a bundle: the files of the locks, fetched and verified, and those of the models."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from provision.actions.context import Context
from provision.actions.lock_stack import ResolvedStack
from provision.actions.torch_source import hide_location
from provision.actions.uv_setup import build_uv, load_package_settings
from provision.actions.weights import DOCUMENTS, identify_revision
from provision.core.bundle import WHEELS_DIR
from provision.core.bundle_target import LockedFile, choose_files
from provision.core.targets import Target, list_tags
from provision.errors import DownloadError, ToolError
from provision.model.bundle import BundledModel, Member
from provision.model.catalogue import ModelSpec
from provision.model.packages import PackageSettings, Source
from provision.system.files import hash_file, list_sizes
from provision.system.hub import fetch_model
from provision.system.resources import find_embedded_model
from provision.system.uv import Uv
from provision.system.wheel_files import Progress, WheelFile, fetch_wheels
from provision.system.wheel_server import Access

if TYPE_CHECKING:
    from packaging.tags import Tag

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Part(Struct, frozen=True, kw_only=True):
    """One file of the archive and where its content is."""

    member: Member
    content: Path | bytes


def collect_wheels(
    ctx: Context, stacks: Sequence[ResolvedStack], target: Target | None, folder: Path
) -> tuple[dict[str, tuple[LockedFile, ...]], list[Part]]:
    """The files of each stack by its name, and all of them once, present and verified.

    A lock has no addresses, so uv is asked where its sources have the files. Raises DownloadError, ToolError.
    """
    settings = load_package_settings(ctx)
    files: dict[str, tuple[LockedFile, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="provision-bundle-") as work:
        uv = build_uv(ctx, settings, Path(work), target)
        for stack in stacks:
            files[stack.spec.name] = _locate(ctx, uv, stack, target)
    wanted: dict[str, LockedFile] = {}
    for file in (file for own in files.values() for file in own):
        if wanted.setdefault(file.filename, file).sha256 != file.sha256:
            raise ToolError(f"two stacks lock different files of the name {file.filename}")
    return files, fetch_parts(ctx, tuple(wanted.values()), stacks, folder, WHEELS_DIR)


def fetch_parts(
    ctx: Context, files: Sequence[LockedFile], stacks: Sequence[ResolvedStack], folder: Path, place: str
) -> list[Part]:
    """The files, verified and sorted by name, for the folder `place` of the archive. Raises DownloadError."""
    sources = [source for stack in stacks for source in (*stack.sources, stack.torch_source)]
    requests = [
        WheelFile(url=file.url, label=file.label, sha256=file.sha256, size_bytes=file.size_bytes)
        for file in files
    ]
    found = fetch_wheels(
        requests,
        folder,
        build_access(load_package_settings(ctx), sources, ctx.env.get("SSL_CERT_FILE")),
        on_progress=lambda progress: _report(ctx, progress),
    )
    return [
        _build_wheel_part(f"{place}/{file.filename}", found[file.sha256], file.sha256)
        for file in sorted(files, key=lambda file: file.filename)
    ]


def _locate(ctx: Context, uv: Uv, stack: ResolvedStack, target: Target | None) -> tuple[LockedFile, ...]:
    # Arbitrary equality, as in the resolution: two signs would let a labelled wheel stand for a plain one.
    pins = [f"{wheel.name}==={wheel.version}" for wheel in stack.lock.wheels]
    answer = uv.compile(pins, python=ctx.python, sources=stack.sources, torch_source=stack.torch_source)
    if answer.text is None:
        raise DownloadError(
            f"the files of stack {stack.spec.name} are not found: "
            f"{hide_location(stack.torch_source, answer.error)}",
            hint="provision doctor --network   # shows which sources answer",
        )
    return choose_files(answer.text, stack.lock, list_target_tags(target))


def list_target_tags(target: Target | None) -> Iterator[Tag]:
    """The wheel tags of the target, or of this machine, best first."""
    from packaging.tags import sys_tags

    return sys_tags() if target is None else list_tags(target)


def build_access(settings: PackageSettings, sources: Sequence[Source], certificate: str | None) -> Access:
    """How the files are fetched: as the indexes were asked. A login of an index holds for its host."""
    logins = {}
    for source in sources:
        parts = urlsplit(source.location or "")
        login, _, host = parts.netloc.rpartition("@")
        if login:
            user, _, password = login.partition(":")
            logins[f"{parts.scheme}://{host}"] = (unquote(user), unquote(password))
    return Access(
        logins=logins,
        certificate=settings.certificate or certificate,
        client_certificate=settings.client_certificate,
        proxy=settings.proxy,
        trusted_hosts=settings.trusted_hosts,
        timeout_s=settings.timeout_s,
    )


def _report(ctx: Context, progress: Progress) -> None:
    ended = progress.files == progress.total_files
    (ctx.reporter.detail if ended else ctx.reporter.progress)(render_progress(progress))


def render_progress(progress: Progress) -> str:
    """One line: files, what came over the network, and how fast."""
    line = f"{progress.files} of {progress.total_files} wheels"
    if not progress.fetched_bytes:
        return line
    rate = progress.fetched_bytes / max(progress.elapsed_s, 0.001) / 1e6
    return f"{line}, {progress.fetched_bytes / 1e6:.0f} MB fetched at {rate:.0f} MB/s"


def _build_wheel_part(name: str, path: Path, sha256: str) -> Part:
    return Part(member=Member(name=name, size_bytes=path.stat().st_size, sha256=sha256), content=path)


def estimate_weights(ctx: Context, model: ModelSpec) -> int:
    """Bytes of a model's files: exact for an embedded one, of the weights alone for the others."""
    if model.embedded is None:
        return model.weights_bytes
    return sum(list_sizes(find_embedded_model(ctx.data_dir, model.embedded)).values())


def collect_weights(ctx: Context, model: ModelSpec) -> tuple[BundledModel, list[Part]]:
    """A model's files, present and hashed. Raises DownloadError."""
    revision = identify_revision(ctx, model)
    bundled = BundledModel(key=model.key, revision=revision, repo_id=model.repo_id)
    if model.embedded is None:
        ctx.reporter.detail(f"{model.repo_id} at {revision[:12]}")
        folder = fetch_model(str(model.repo_id), revision, env=ctx.env)
        names = sorted(list_sizes(folder))
    else:
        folder = find_embedded_model(ctx.data_dir, model.embedded)
        names = [name for name in sorted(list_sizes(folder)) if Path(name).name not in DOCUMENTS]
    return bundled, [_build_weights_part(f"{bundled.folder}/{name}", folder / name) for name in names]


def _build_weights_part(name: str, path: Path) -> Part:
    blob = path.resolve()
    digest = hash_file(blob)
    # The Hub's cache names large files by their hash.
    if _SHA256.fullmatch(blob.name) and blob.name != digest:
        raise DownloadError(
            f"{path} has not the content that the Hub named",
            hint=f"rm {blob}   # then run the same command again",
        )
    member = Member(name=name, size_bytes=blob.stat().st_size, sha256=digest)
    return Part(member=member, content=blob)
