"""A local index with a newer package beside a mirror: found when it may be, and installed as it is."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from provision.actions.build import build_stack, name_stack_dir
from provision.actions.lock_stack import ResolvedStack, resolve_stack
from tests.faults.mirror import PINS, Mirror, check_built, list_pins
from tests.support.index_server import IndexServer
from tests.support.sources import PLATFORM, SPEC, make_build
from tests.support.wheel_archive import pack_wheel, repack_wheel

NEW = "5.22.3"
ANY = replace(SPEC, requirements=("transformers>=5.22",))


def make_newer(folder: Path) -> Path:
    """transformers 5.22.2, as an index could have it, made 5.22.3 with a generate that is wrong."""
    modules = {
        "transformers/__init__.py": "",
        "transformers/generation.py": "def generate():\n    return 1\n",
    }
    name, data = pack_wheel("transformers", "5.22.2", modules, requires=("numpy",), requires_python=">=3.10")
    folder.mkdir()
    (folder / name).write_bytes(data)
    wrong = b"def generate():\n    return 2\n"
    changes = {"transformers/generation.py": wrong}
    return repack_wheel(folder / name, folder, version=NEW, changes=changes)


def resolve(mirror: Mirror, **env: str) -> ResolvedStack:
    return resolve_stack(mirror.make_context(**env), ANY, make_build("cpu"), PLATFORM)


def test_a_newer_version_with_a_changed_file_is_installed(mirror: Mirror, tmp_path: Path) -> None:
    """All that the index does not have comes from the mirror, to which it redirects."""
    newer = make_newer(tmp_path / "newer")
    with IndexServer((newer.parent,), elsewhere=mirror.server.url) as index:
        stack = resolve(mirror, PIP_INDEX_URL=index.url)
        manifest = build_stack(mirror.make_context(PIP_INDEX_URL=index.url), mirror.store, stack)
    pins = [*PINS[:2], ("transformers", NEW)]
    assert list_pins(stack) == pins
    assert [(item.name, item.version) for item in manifest.packages] == pins
    [module] = name_stack_dir(mirror.store, stack).rglob("transformers/generation.py")
    assert module.read_text() == "def generate():\n    return 2\n"


def test_an_upload_of_yesterday_waits_for_its_seventh_day(mirror: Mirror, tmp_path: Path) -> None:
    """The clock of the tests stands at 2026-11-21."""
    newer = make_newer(tmp_path / "newer")
    with IndexServer((newer.parent,), elsewhere=mirror.server.url) as index:
        for uploaded, expected in (
            ("2026-11-20T09:00:00.000000Z", "5.22.2"),
            ("2026-11-14T00:00:01.000000Z", "5.22.2"),
            ("2026-11-13T23:59:59.000000Z", NEW),
        ):
            index.uploads[newer.name] = uploaded
            # A day's resolutions are kept, and this index changes within the day.
            env = {"PIP_INDEX_URL": index.url, "PROVISION_CACHE_DIR": str(tmp_path / uploaded[:13])}
            assert dict(list_pins(resolve(mirror, **env)))["transformers"] == expected, uploaded


def test_a_mirror_that_tells_no_dates_is_taken_as_it_is(mirror: Mirror) -> None:
    mirror.server.serves_json = False
    stack = resolve(mirror)
    check_built(mirror.store, stack, mirror.build(stack))
