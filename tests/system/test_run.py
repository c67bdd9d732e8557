"""Real programs, run and ended for real."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from provision.system.run import CannotStartError, run

ENV = {"PATH": os.environ["PATH"]}
posix_only = pytest.mark.skipif(os.name != "posix", reason="signals and process groups")


def run_python(code, *, timeout_s=20.0, **options):
    return run([sys.executable, "-I", "-c", code], timeout_s=timeout_s, env=ENV, **options)


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pid):
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def test_what_a_program_says_and_its_exit_code():
    done = run_python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (done.exit_code, done.signal, done.stdout, done.stderr) == (3, None, "out\n", "err\n")
    assert (done.timed_out, done.truncated) == (False, False)
    assert done.argv[0] == sys.executable


def test_environment_folder_and_stdin_are_those_given(tmp_path):
    code = "import os, sys; print(sorted(os.environ)[0], os.getcwd(), sys.stdin.read())"
    done = run([sys.executable, "-c", code], timeout_s=20, env={"A": "1"}, cwd=tmp_path, stdin_text="hällo")
    assert done.stdout == f"A {tmp_path.resolve()} hällo\n"


def test_stdin_is_empty_unless_given():
    assert run_python("import sys; print(repr(sys.stdin.read()))").stdout == "''\n"


def test_a_program_that_never_reads_a_long_stdin_does_not_block():
    assert run_python("print('done')", stdin_text="x" * 10_000_000).stdout == "done\n"


def test_arguments_are_never_words_for_a_shell():
    argument = "$(touch oops); `id` & | > <"
    done = run([sys.executable, "-c", "import sys; print(sys.argv[1])", argument], timeout_s=20, env=ENV)
    assert done.stdout == f"{argument}\n"


def test_bytes_that_are_no_text_are_replaced():
    done = run_python("import sys; sys.stdout.buffer.write(b'a\\xff\\xfeb\\r\\n')")
    assert done.stdout == "a\ufffd\ufffdb\n"


@posix_only
def test_the_end_of_too_much_output_is_kept():
    code = "import sys; sys.stdout.write('x' * 3_000_000 + 'end'); print('e' * 100, file=sys.stderr)"
    done = run_python(code, max_output_bytes=1000)
    assert (len(done.stdout), done.stdout[-5:], done.truncated) == (1000, "xxend", True)
    assert done.stderr == "e" * 100 + "\n"


@posix_only
def test_death_by_a_signal_has_its_name():
    done = run_python("import os; os.kill(os.getpid(), 11)")
    assert (done.exit_code, done.signal, done.timed_out) == (-11, "SIGSEGV", False)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.write_text("no program", encoding="utf-8"), "Permission denied"),
        (lambda path: (path.write_bytes(b"\0\1"), path.chmod(0o755)), "Exec format error"),
        (lambda path: path.mkdir(), "Permission denied"),
    ],
    ids=["missing", "not-executable", "no-program", "folder"],
)
@posix_only
def test_a_program_that_cannot_be_started(tmp_path, make, reason):
    path = tmp_path / "program"
    make(path)
    with pytest.raises(CannotStartError) as raised:
        run([str(path)], timeout_s=5, env=ENV)
    assert raised.value.message == f"{path} cannot be started: {reason}"
    assert raised.value.hint == f"ls -l {path}"


def test_a_working_folder_that_is_missing(tmp_path):
    folder = tmp_path / "gone"
    with pytest.raises(CannotStartError, match=re.escape(f"in {folder}, which is no folder: ")):
        run([sys.executable], timeout_s=5, env=ENV, cwd=folder)


@posix_only
@pytest.mark.parametrize(
    ("code", "died_of"),
    [
        ("pass", "SIGTERM"),
        ("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)", "SIGKILL"),
    ],
)
def test_time_is_up_for_the_whole_group(code, died_of):
    spawn = (
        f"{code}; import subprocess; child = subprocess.Popen(['sleep', '300']); print(child.pid, flush=True)"
    )
    done = run_python(f"{spawn}; child.wait()", timeout_s=1.0)
    assert (done.timed_out, done.signal) == (True, died_of)
    assert 1.0 <= done.elapsed_s < 2.5
    assert wait_until_gone(int(done.stdout))


@posix_only
def test_last_words_after_the_time_is_up_are_kept():
    code = "import signal, sys, time\ndef end(*_):\n print('cleaned up'); sys.exit(7)\n"
    code += "signal.signal(signal.SIGTERM, end); print('started', flush=True); time.sleep(300)"
    done = run_python(code, timeout_s=1.0, grace_s=5.0)
    assert (done.timed_out, done.exit_code, done.stdout) == (True, 7, "started\ncleaned up\n")


@posix_only
def test_a_grandchild_that_keeps_the_pipe_open_is_not_waited_for():
    code = "import subprocess; child = subprocess.Popen(['sleep', '60']); print(child.pid)"
    done = run_python(code, timeout_s=30)
    pid = int(done.stdout)
    try:
        assert (done.exit_code, done.timed_out, is_running(pid)) == (0, False, True)
        assert done.elapsed_s < 5
    finally:
        os.kill(pid, signal.SIGKILL)


@posix_only
def test_a_program_that_closes_its_output_is_waited_for():
    done = run_python("import os, time; os.close(1); os.close(2); time.sleep(0.5); os._exit(4)")
    assert (done.exit_code, done.timed_out) == (4, False)
    assert done.elapsed_s >= 0.5


def test_lines_of_stderr_are_shown_as_they_come():
    seen = []
    code = "import sys, time\nfor i in range(3): print(i, file=sys.stderr, flush=True); time.sleep(0.3)\n"
    code += "sys.stderr.write('no newline')"
    done = run_python(code, on_line=lambda line: seen.append((line, time.monotonic(), threading.get_ident())))
    assert [line for line, _, _ in seen] == ["0", "1", "2", "no newline"]
    assert done.stderr == "0\n1\n2\nno newline"
    assert seen[2][1] - seen[0][1] > 0.4
    assert {thread for _, _, thread in seen} == {threading.get_ident()}


@posix_only
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interruption_ends_the_group_and_goes_on(error):
    pids = []

    def interrupt(line):
        pids.append(int(line))
        raise error

    code = "import os, sys, time; print(os.getpid(), file=sys.stderr, flush=True); time.sleep(300)"
    start = time.monotonic()
    with pytest.raises(error):
        run_python(code, on_line=interrupt)
    assert time.monotonic() - start < 5
    assert wait_until_gone(pids[0])


def test_many_at_once_from_threads():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda n: run_python(f"print({n})").stdout, range(8)))
    assert outputs == [f"{n}\n" for n in range(8)]


@posix_only
def test_running_a_program_costs_milliseconds():
    samples = sorted(run(["true"], timeout_s=10, env=ENV).elapsed_s for _ in range(15))
    assert samples[0] < 0.02
