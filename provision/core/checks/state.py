"""The state folder, the stacks' files, weights, config.yaml, and what the models read."""

from __future__ import annotations

from provision.core.checks.check import Check, Checkup, Needs
from provision.core.checks.results import Result, failed, passed, skipped, warned
from provision.core.cures import build_own_cure
from provision.core.shells import render_rename, render_word
from provision.model.checkup import LockState
from provision.model.into import CutKind
from provision.model.smoke import Verdict

_NOTHING_ACTIVE = "no generation is active"
_SHOWN = 4


def check_state(checkup: Checkup) -> Result:
    """The active generation, and an activation that was cut short."""
    state = checkup.state
    if state.problem is not None:
        return failed(state.problem, _return(checkup) or build_own_cure(checkup.place, "apply", "auto"))
    if state.pending_problem is not None:
        return failed(state.pending_problem, _fix(checkup))
    if state.pending is not None:
        return warned("an apply was cut short while it activated a generation", _fix(checkup))
    if state.generation is None:
        return skipped("nothing was applied here")
    if state.unreadable:
        damaged = ", ".join(str(number) for number in state.unreadable)
        return warned(f"generation {state.generation} is active; of former ones cannot be read: {damaged}")
    return passed(f"generation {state.generation} is active")


def _fix(checkup: Checkup) -> str:
    return build_own_cure(checkup.place, "doctor", "--fix")


def _return(checkup: Checkup) -> str | None:
    """To what is whole; None where no former generation is."""
    former = checkup.state.former
    return None if former is None else build_own_cure(checkup.place, "rollback", str(former))


def _fix_or_return(checkup: Checkup) -> str:
    """Mending takes minutes and may need the network, returning neither."""
    back = _return(checkup)
    return _fix(checkup) if back is None else f"{_fix(checkup)}   # or at once: {back}"


def _say_nothing_active(checkup: Checkup) -> str:
    return (
        _NOTHING_ACTIVE
        if checkup.state.problem is None
        else "which generation is active cannot be read: state.whole"
    )


def check_lock(checkup: Checkup) -> Result:
    """Who works in the state folder."""
    state = checkup.state
    match state.lock:
        case LockState.HELD:
            return warned(state.lock_holder)
        case LockState.STALE:
            return warned(f"{state.lock_holder}, which has ended without saying so", _fix(checkup))
        case LockState.FREE:
            return passed("nobody else works in the state folder")


def check_leftovers(checkup: Checkup) -> Result:
    """What interrupted builds and copies left behind: space, and nothing works with it."""
    left = checkup.state.leftovers
    if checkup.state.problem or checkup.state.pending_problem or checkup.state.unreadable:
        return skipped("a generation cannot be read, so what belongs to none is not known: state.whole")
    if not left:
        return passed("no interrupted build left anything")
    more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    return warned(f"left by interrupted runs: {', '.join(left[:_SHOWN])}{more}", _fix(checkup))


def check_into(checkup: Checkup) -> Result:
    """Environments of the user's that an `apply --into` left in the middle."""
    changes = checkup.state.cut_changes
    if not changes:
        return passed("no change of an environment was cut short")
    if checkup.state.lock is LockState.HELD:
        return skipped(
            "somebody works in the state folder, and a change of an environment with it: state.lock"
        )
    evidence = "; ".join(change.sentence for change in changes)
    kinds = {change.kind for change in changes}
    half = [change.place for change in changes if change.kind is CutKind.CHANGING]
    if CutKind.LOST in kinds:
        return failed(evidence)
    if half:
        place = checkup.place
        return failed(
            evidence,
            build_own_cure(place, "apply", "auto", "--into", render_word(place.shell, half[0]), "--undo"),
        )
    return warned(evidence, build_own_cure(checkup.place, "gc"))


def check_stacks(checkup: Checkup) -> Result:
    """A stack was finished, and holds what it was finished with; how its files were altered is stack.files."""
    if not checkup.stacks:
        return skipped(_say_nothing_active(checkup))
    broken = [stack for stack in checkup.stacks if stack.problem]
    if broken:
        return failed(
            "; ".join(f"{stack.name}: {stack.problem}" for stack in broken), _fix_or_return(checkup)
        )
    return passed(", ".join(f"{stack.name}: {stack.packages} packages" for stack in checkup.stacks))


def check_weights(checkup: Checkup) -> Result:
    """The files of every configured model, by their sizes."""
    if checkup.state.generation is None:
        return skipped(_say_nothing_active(checkup))
    if checkup.weights_problems:
        return failed("; ".join(checkup.weights_problems), _fix_or_return(checkup))
    return passed("every file has the size that it had when its model was verified")


def check_weight_hashes(checkup: Checkup) -> Result:
    """The content of every configured model's files."""
    if checkup.state.generation is None:
        return skipped(_say_nothing_active(checkup))
    if checkup.weights_altered:
        return failed("; ".join(checkup.weights_altered), _fix(checkup))
    return passed("every file has the content that its revision names")


def check_config(checkup: Checkup) -> Result:
    """config.yaml can be read."""
    config = checkup.config
    if config.problem:
        return failed(config.problem, _choose_config_cure(checkup))
    if not config.exists:
        if checkup.state.generation is None:
            return skipped("there is no config.yaml")
        return failed("there is no config.yaml", _fix(checkup))
    return passed("config.yaml can be read")


def _choose_config_cure(checkup: Checkup) -> str | None:
    """Out of the way with it: what it says besides is the user's, and our keys are written into a new one."""
    path = checkup.config.path
    if checkup.state.generation is None or not path:
        return None
    rename = render_rename(checkup.place.shell, path, f"{path}.broken")
    return f"{rename}; {_fix(checkup)}   # or correct that line"


def check_drift(checkup: Checkup) -> Result:
    """config.yaml says what the active generation wrote."""
    if checkup.state.generation is None:
        return skipped(_say_nothing_active(checkup))
    config = checkup.config
    if config.problem or not config.exists:
        return skipped("config.yaml cannot be read: config.valid")
    if config.drift:
        return warned(f"changed since it was written: {'; '.join(config.drift)}", _fix(checkup))
    return passed("as the active generation wrote it")


def check_smoke(checkup: Checkup) -> Result:
    """What the models read when the active generation was verified."""
    if not checkup.smoke:
        return skipped("no model was smoked here")
    evidence = "; ".join(f"{result.model}: {result.verdict}, {result.reason}" for result in checkup.smoke)
    worst = {result.verdict for result in checkup.smoke}
    if Verdict.FAIL in worst:
        models = [result.model for result in checkup.smoke if result.verdict is Verdict.FAIL]
        return failed(evidence, build_own_cure(checkup.place, "smoke", *models))
    return warned(evidence) if Verdict.DEGRADED in worst else passed(evidence)


CHECKS = (
    Check(id="state.whole", question="Is the state whole?", run=check_state, needs=Needs.HERE),
    Check(id="state.lock", question="Is the state folder's lock free?", run=check_lock, needs=Needs.HERE),
    Check(
        id="state.leftovers",
        question="Did interrupted runs leave anything behind?",
        run=check_leftovers,
        needs=Needs.HERE,
    ),
    Check(
        id="state.into",
        question="Is every environment that `apply --into` changes settled?",
        run=check_into,
        needs=Needs.HERE,
    ),
    Check(
        id="stack.complete",
        question="Is every stack of the active generation complete?",
        run=check_stacks,
        needs=Needs.HERE,
    ),
    Check(
        id="weights.present",
        question="Are the weights of every configured model there?",
        run=check_weights,
        needs=Needs.HERE,
    ),
    Check(
        id="weights.hashes",
        question="Do the weights have the content that their revision names?",
        run=check_weight_hashes,
        needs=Needs.DEEP,
    ),
    Check(id="config.valid", question="Can config.yaml be read?", run=check_config, needs=Needs.HERE),
    Check(
        id="config.drift",
        question="Does config.yaml say what the active generation wrote?",
        run=check_drift,
        needs=Needs.HERE,
    ),
    Check(
        id="smoke.verdict",
        question="What did the models read when the active generation was verified?",
        run=check_smoke,
        needs=Needs.HERE,
    ),
)
