"""The exceptions of `provision` and the exit code that each one ends the process with."""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """Process exit codes; `docs/exit-codes.md` shows the same table and a test compares them."""

    OK = 0
    NO = 1
    USAGE = 2
    NO_PROFILE = 3
    TOOL = 4
    DOWNLOAD = 5
    STATE = 6
    APPLY_FAILED = 7
    ROLLBACK_FAILED = 8
    BUG = 70
    INTERRUPTED = 130


EXIT_CODE_MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "yes: done, healthy, or nothing to do",
    ExitCode.NO: "the answer is no: a finding failed, a smoke failed, changes are pending",
    ExitCode.USAGE: "bad usage or a bad file; nothing was changed",
    ExitCode.NO_PROFILE: "no profile fits this machine",
    ExitCode.TOOL: "a tool that `provision` calls failed, such as uv",
    ExitCode.DOWNLOAD: "a download failed or no source of packages answers",
    ExitCode.STATE: "the state folder is locked, stale or damaged",
    ExitCode.APPLY_FAILED: "apply failed; the former generation is still active",
    ExitCode.ROLLBACK_FAILED: "rollback failed",
    ExitCode.BUG: "a bug in `provision`",
    ExitCode.INTERRUPTED: "interrupted by the user",
}


class ProvisionError(Exception):
    """One clear sentence for the user, with a hint that names what to run or look at next."""

    exit_code = ExitCode.BUG

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ProvisionError):
    """The command line asks for something that does not exist or does not go together."""

    exit_code = ExitCode.USAGE


class BadFileError(UsageError):
    """A file of the user's, or one of ours, cannot be understood: path, key path and reason."""


class NoProfileError(ProvisionError):
    """No profile fits, or the one asked for does not; the reasons are in the message."""

    exit_code = ExitCode.NO_PROFILE


class ToolError(ProvisionError):
    """A program that we run failed; its own words are kept in `output`."""

    exit_code = ExitCode.TOOL

    def __init__(self, message: str, *, hint: str | None = None, output: str = "") -> None:
        super().__init__(message, hint=hint)
        self.output = output


class DownloadError(ProvisionError):
    """Bytes could not be had: no source answered, or what came was not what the lock names."""

    exit_code = ExitCode.DOWNLOAD


class StateError(ProvisionError):
    """The state folder is locked by another process, stale or damaged."""

    exit_code = ExitCode.STATE


class InterruptedByUserError(ProvisionError):
    """Ctrl-C, or a request to end."""

    exit_code = ExitCode.INTERRUPTED


class ApplyFailedError(ProvisionError):
    """A step of apply failed after changes began; the former generation stays active."""

    exit_code = ExitCode.APPLY_FAILED


class RollbackFailedError(ProvisionError):
    """A step of rollback failed after changes began; what was active before stays active."""

    exit_code = ExitCode.ROLLBACK_FAILED


class SmokeFailedError(ProvisionError):
    """No model read its pages; `results` holds a SmokeResult for each."""

    exit_code = ExitCode.NO

    def __init__(self, message: str, *, hint: str | None = None, results: tuple[Any, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.results = results
