"""pip's configuration as uv must be told it."""

from __future__ import annotations

import pytest

from provision.core.pip_settings import build_label, parse_package_settings
from provision.errors import BadFileError
from provision.model.packages import PackageSettings, Source, SourceKind


def source(kind: SourceKind, location: str, origin: str, label: str | None = None) -> Source:
    return Source(kind=kind, location=location, origin=origin, label=label or location)


def test_no_configuration() -> None:
    assert parse_package_settings([], {"HOME": "/home/u"}) == PackageSettings()


def test_files_and_environment_in_pips_order() -> None:
    files = [
        ("/etc/pip.conf", "[global]\nindex-url = https://global.example/simple\ncert = /etc/ca.pem\n"),
        (
            "/home/u/.config/pip/pip.conf",
            "[global]\nextra-index-url =\n    https://a.example/simple\n    https://b.example/simple\n"
            "[install]\nfind_links = /srv/wheels\n",
        ),
    ]
    settings = parse_package_settings(files, {"PIP_INDEX_URL": "https://env.example/simple"})
    assert settings == PackageSettings(
        sources=(
            source(SourceKind.INDEX, "https://env.example/simple", "PIP_INDEX_URL"),
            source(SourceKind.EXTRA_INDEX, "https://a.example/simple", "/home/u/.config/pip/pip.conf"),
            source(SourceKind.EXTRA_INDEX, "https://b.example/simple", "/home/u/.config/pip/pip.conf"),
            source(SourceKind.FIND_LINKS, "/srv/wheels", "/home/u/.config/pip/pip.conf"),
        ),
        certificate="/etc/ca.pem",
    )


def test_the_install_section_overrides_the_global_one() -> None:
    text = "[install]\nfind-links = /b\n[global]\nfind-links = /a\n"
    settings = parse_package_settings([("pip.conf", text)], {})
    assert [item.location for item in settings.sources] == ["/b"]


def test_a_value_replaces_the_one_of_lower_precedence_as_a_whole() -> None:
    files = [("pip.conf", "[global]\nfind-links = /a /b\n")]
    settings = parse_package_settings(files, {"PIP_FIND_LINKS": "/c"})
    assert [(item.location, item.origin) for item in settings.sources] == [("/c", "PIP_FIND_LINKS")]


def test_no_index_leaves_only_folders() -> None:
    env = {"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "https://x.example/simple", "PIP_FIND_LINKS": "/wheels"}
    settings = parse_package_settings([], env)
    assert settings.no_index
    assert [item.kind for item in settings.sources] == [SourceKind.FIND_LINKS]


def test_uvs_own_variables_stand_above_pips() -> None:
    env = {
        "PIP_INDEX_URL": "https://pip.example/simple",
        "UV_INDEX_URL": "https://old.example/simple",
        "UV_DEFAULT_INDEX": "https://uv.example/simple",
        "UV_INDEX": "torch=https://torch.example/simple",
    }
    settings = parse_package_settings([], env)
    assert [(item.kind, item.location) for item in settings.sources] == [
        (SourceKind.INDEX, "https://uv.example/simple"),
        (SourceKind.EXTRA_INDEX, "https://torch.example/simple"),
    ]


def test_the_rest() -> None:
    text = (
        "[global]\nclient-cert = /me.pem\nproxy = http://proxy:3128\n"
        "trusted-host = a.example b.example\ndefault-timeout = 60\n"
    )
    assert parse_package_settings([("pip.conf", text)], {}) == PackageSettings(
        client_certificate="/me.pem",
        proxy="http://proxy:3128",
        trusted_hosts=("a.example", "b.example"),
        timeout_s=60.0,
    )


def test_a_password_never_reaches_a_label() -> None:
    env = {"PIP_INDEX_URL": "https://user:s3cret@mirror.example:8443/simple?token=abc"}
    [found] = parse_package_settings([], env).sources
    assert found.location == "https://user:s3cret@mirror.example:8443/simple?token=abc"
    assert found.label == "https://mirror.example:8443/simple"


@pytest.mark.parametrize("path", ["/srv/wheels", "C:\\wheels", "wheels"])
def test_a_path_is_its_own_label(path: str) -> None:
    assert build_label(path) == path


def test_relative_paths_are_the_users_own() -> None:
    env = {"PIP_FIND_LINKS": "wheels ~/more C:\\w file:///abs", "PIP_CERT": "ca.pem", "HOME": "/home/u"}
    settings = parse_package_settings([], env, base="/work dir")
    assert [item.location for item in settings.sources] == [
        "/work dir/wheels",
        "/home/u/more",
        "C:\\w",
        "file:///abs",
    ]
    assert settings.certificate == "/work dir/ca.pem"


def test_a_broken_file_is_named() -> None:
    with pytest.raises(BadFileError) as caught:
        parse_package_settings([("/etc/pip.conf", "index-url = x\n")], {})
    assert caught.value.message.startswith("/etc/pip.conf: not a pip configuration file: ")
    assert "line: 1" in caught.value.message
