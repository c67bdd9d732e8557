"""What is asked of an environment's python, and what a killed run left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from provision.errors import ToolError, UsageError
from provision.system.environment_change import (
    ask_interpreter,
    end_orphans,
    find_prefix,
    load_torch_version,
    remove_folders,
    signals_held,
)
from tests.support.environments import Environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX programs")


def test_an_environment_is_named_by_its_folder_or_its_python(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    assert find_prefix(environment.prefix) == environment.prefix
    assert find_prefix(environment.python) == environment.prefix
    assert find_prefix(environment.prefix / "lib" / "..") == environment.prefix


def test_what_is_no_environment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"there is no environment at {tmp_path / 'none'}"):
        find_prefix(tmp_path / "none")
    with pytest.raises(UsageError, match=f"{tmp_path} holds no python"):
        find_prefix(tmp_path)


def test_a_python_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / "bin" / "python").symlink_to("/no/such/python3.11")
    with pytest.raises(UsageError) as failure:
        find_prefix(tmp_path)
    python = tmp_path / "bin" / "python"
    assert failure.value.message == f"{python} leads to /no/such/python3.11, which is not there"
    assert failure.value.hint == f"uv venv --allow-existing {tmp_path}   # leads it to a Python that is there"


def test_the_version_of_torch_is_that_of_its_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    assert load_torch_version([first, second]) is None
    (second / "torch").mkdir(parents=True)
    text = "from typing import Optional\n\n__all__ = ['__version__']\n__version__ = '2.13.0+cu130'\n"
    (second / "torch" / "version.py").write_text(text, encoding="ascii")
    assert load_torch_version([first, second]) == "2.13.0+cu130"


def test_a_python_says_where_it_installs(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    view = ask_interpreter(tmp_path / "env" / "bin" / "python", env={"PATH": os.environ["PATH"]})
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert view.version == ".".join(str(part) for part in sys.version_info[:3])
    assert (view.implementation, view.prefix) == (sys.implementation.name, str(tmp_path / "env"))
    assert view.base_prefix == sys.base_prefix
    assert view.externally_managed is False
    assert view.site_dirs == (str(tmp_path / "env" / "lib" / f"python{version}" / "site-packages"),)
    assert view.scripts_dir == str(tmp_path / "env" / "bin")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "does not run: ended with exit code 3"),
        ("kill -9 $$", "does not run: died of SIGKILL"),
        ("echo hello", "answers nonsense: "),
    ],
)
def test_a_python_that_does_not_run_is_told(tmp_path: Path, script: str, message: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    python.chmod(0o755)
    with pytest.raises(ToolError) as failure:
        ask_interpreter(python, env={"PATH": os.environ["PATH"]})
    assert failure.value.message.startswith(f"{python} {message}")


def test_another_program_with_that_path_is_left_alone(tmp_path: Path) -> None:
    token = str(tmp_path / "into" / "1")
    argv = [sys.executable, "-c", "import time; time.sleep(60)", f"{token}/install.txt"]
    with subprocess.Popen(argv) as editor:
        time.sleep(0.1)
        assert end_orphans(token, python=Path("/env/bin/python"), scripts_dir=tmp_path / "smoke") == 0
        assert editor.poll() is None
        editor.kill()


@pytest.mark.parametrize(
    ("name", "arguments"), [("uv", ("-r", "into/1/install.txt")), ("python", ("smoke/imports.py", "torch"))]
)
def test_what_outlived_a_killed_run_is_ended(tmp_path: Path, name: str, arguments: tuple[str, str]) -> None:
    (tmp_path / name).symlink_to(sys.executable)
    words = [str(tmp_path / word) if "/" in word else word for word in arguments]
    argv = [str(tmp_path / name), "-c", "import time; time.sleep(60)", *words]
    places = {"python": tmp_path / "python", "scripts_dir": tmp_path / "smoke"}
    # Its parent, a shell, ends at once.
    subprocess.run(["sh", "-c", '"$@" & echo', "sh", *argv], check=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    # Until the program has started, its arguments are still the shell's.
    while (ended := end_orphans(str(tmp_path / "into"), **places)) == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ended == 1
    assert end_orphans(str(tmp_path / "into"), **places) == 0


def test_a_worker_of_a_run_that_lives_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    script = "import time; print('started', flush=True); time.sleep(60)"
    argv = [str(tmp_path / "python"), "-c", script, str(tmp_path / "smoke" / "worker.py")]
    places = {"python": tmp_path / "python", "scripts_dir": tmp_path / "smoke"}
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"started\n"
        assert end_orphans(str(tmp_path / "into"), **places) == 0
        assert worker.poll() is None
        worker.kill()


def test_folders_are_removed_and_links_are_not(tmp_path: Path) -> None:
    (tmp_path / "torch-2.7.0.dist-info").mkdir()
    (tmp_path / "torch-2.7.0.dist-info" / "direct_url.json").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.dist-info").symlink_to("elsewhere")
    remove_folders(tmp_path, ["torch-2.7.0.dist-info", "link.dist-info", "none.dist-info"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "link.dist-info"]


def test_a_signal_waits_while_files_are_put_back_and_takes_effect_afterwards() -> None:
    handler, done = signal.getsignal(signal.SIGINT), []

    def put_back() -> None:
        with signals_held():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            done.append("put back")

    with pytest.raises(KeyboardInterrupt):
        put_back()
    assert done == ["put back"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_in_another_thread_no_signal_is_held() -> None:
    handlers: list[object] = []

    def hold() -> None:
        with signals_held():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
