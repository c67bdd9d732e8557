"""What is newer, what lies outside the bounds, and whether a trial is as good as what is active."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from provision.model.finding import Finding, Severity
from provision.model.plan import PackageChange
from provision.model.profile import FlashChoice, Profile
from provision.model.smoke import SmokeResult, Verdict
from provision.model.update import (
    Available,
    Comparison,
    Outside,
    StackNews,
    Standing,
    TrialRecord,
    TrialVerdict,
)

_RANK = {Verdict.PASS: 0, Verdict.DEGRADED: 1, Verdict.FAIL: 2}
# Other pages are drawn for each smoke, of some 95 letters: a model that misreads some may misread one more
# by chance. One that read every letter has to do so again.
ONE_LETTER_CER = 1 / 90
_REMEMBERED = 50


def build_bounds(profile: Profile) -> dict[str, str]:
    """The range of every package that the profile pins; without a bound the pin itself."""
    return {name: profile.bounds.get(name, f"=={pin}") for name, pin in profile.packages.items()}


def hold_back(
    bounds: Mapping[str, str], active: Mapping[str, str], found: Mapping[str, str]
) -> dict[str, str]:
    """`bounds` with a pin for each package that would go back from its active version.

    Versions that are younger than the cut-off are no candidates, but one that is active already stays.
    """
    return {
        name: f"=={active[name]}"
        if name in active and name in found and _is_older(found[name], active[name])
        else span
        for name, span in bounds.items()
    }


def find_flash_choice(active: Mapping[str, str]) -> FlashChoice | None:
    """The choice about flash-attn that shows in the active versions: an update does not take it back."""
    if "flash-attn" in active:
        return FlashChoice.WHEEL
    return FlashChoice.KERNELS if "kernels" in active else None


def leaves_bounds(bounds: Mapping[str, str], active: Mapping[str, str], found: Mapping[str, str]) -> bool:
    """Whether a package that was within its range no longer is.

    Models in stacks of their own go by their own ranges; where the bounds cannot be met, so would the others.
    """
    return any(
        name in active
        and name in found
        and SpecifierSet(span).contains(_public(active[name]), prereleases=True)
        and not SpecifierSet(span).contains(_public(found[name]), prereleases=True)
        for name, span in bounds.items()
    )


def find_newer(changes: Iterable[PackageChange]) -> tuple[PackageChange, ...]:
    """The changes that bring something newer. What is added or removed comes with these and is no reason alone."""
    return tuple(
        change
        for change in changes
        if change.before and change.after and _is_older(change.before, change.after)
    )


def list_available(stacks: Iterable[StackNews]) -> tuple[Available, ...]:
    """Everything newer or additional in the stacks that would be made anew."""
    return tuple(
        Available(stack=stack.name, name=change.name, active=change.before, new=change.after)
        for stack in stacks
        for change in stack.changes
        if change.after is not None and (change.before is None or _is_older(change.before, change.after))
    )


def list_outside(
    latest: Mapping[str, str],
    active: Mapping[str, str],
    found: Mapping[str, str],
    bounds: Mapping[str, str],
    *,
    torch_build: str,
    cutoff: str | None,
) -> tuple[Outside, ...]:
    """What exists beyond what an update would take, with what keeps it out.

    All four give versions by package: the newest there is, the active ones, the ones an update would take, and
    the ranges. `cutoff` is the date after which nothing is taken.
    """
    return tuple(
        Outside(
            name=name,
            active=active[name],
            latest=newest,
            reason=_explain_outside(name, newest, bounds, torch_build=torch_build, cutoff=cutoff),
        )
        for name, newest in latest.items()
        if name in active
        and _is_older(active[name], newest)
        and _is_older(found.get(name, active[name]), newest)
    )


def _explain_outside(
    name: str, newest: str, bounds: Mapping[str, str], *, torch_build: str, cutoff: str | None
) -> str:
    if name == "torch":
        return f"torch is the profile's build, {torch_build}: another comes with another profile or release"
    span = bounds.get(name)
    if span is None:
        return "the profile names no range for it"
    if not SpecifierSet(span).contains(newest):
        kind = "the verified pin" if span.startswith("==") else "the profile's bound"
        return f"{kind} is {name}{span}"
    young = f"it may be younger than {cutoff[:10]}, or " if cutoff else ""
    return f"{young}a package or a model beside it does not take it"


def compare_results(before: Sequence[SmokeResult], after: Sequence[SmokeResult]) -> tuple[Comparison, ...]:
    """Each model of the trial against its former reading, in the trial's order."""
    former = {result.model: result for result in before}
    return tuple(_compare(former.get(result.model), result) for result in after)


def _compare(before: SmokeResult | None, after: SmokeResult) -> Comparison:
    standing, reason = _judge(before, after)
    return Comparison(
        model=after.model,
        stack=after.stack,
        standing=standing,
        reason=reason,
        verdict_before=before.verdict if before else None,
        verdict=after.verdict,
        cer_before=before.cer if before else None,
        cer=after.cer,
        tokens_per_s_before=before.tokens_per_s if before else None,
        tokens_per_s=after.tokens_per_s,
    )


def _judge(before: SmokeResult | None, after: SmokeResult) -> tuple[Standing, str]:
    """A model that failed and fails still is the same: an update need not cure what was broken."""
    if before is None:
        return Standing.NEW, after.reason
    if after.verdict is not before.verdict:
        standing = Standing.WORSE if _RANK[after.verdict] > _RANK[before.verdict] else Standing.BETTER
        return standing, f"{after.verdict}, was {before.verdict}: {after.reason}"
    loss = _find_loss(before, after) if after.verdict is Verdict.DEGRADED else ""
    return (Standing.WORSE, loss) if loss else (Standing.SAME, after.reason)


def _find_loss(before: SmokeResult, after: SmokeResult) -> str:
    """What a model that misreads some letters reads worse than before; empty for nothing."""
    if after.keywords_found < before.keywords_found:
        return f"{after.keywords_found} keywords found, were {before.keywords_found}"
    was, now = before.cer or 0.0, after.cer or 0.0
    return f"character error rate {now:.1%}, was {was:.1%}" if now - was > ONE_LETTER_CER else ""


def judge_models(models: Sequence[Comparison]) -> str:
    """Why a trial has to be discarded, in one sentence; empty when every model is at least as good as before."""
    worse = [model for model in models if model.standing is Standing.WORSE]
    if worse:
        return "; ".join(f"{model.model}: {model.reason}" for model in worse)
    if models and all(model.verdict is Verdict.FAIL for model in models):
        return f"no model passed: {models[0].model}: {models[0].reason}"
    return ""


def find_new_faults(before: Iterable[Finding], after: Iterable[Finding]) -> tuple[Finding, ...]:
    """Deep checks that fail in the trial and did not fail in the stack that is active."""
    known = {finding.id for finding in before if finding.severity is Severity.FAIL}
    return tuple(
        finding for finding in after if finding.severity is Severity.FAIL and finding.id not in known
    )


def find_discarded(
    trials: Sequence[TrialRecord], fingerprint: str, locks: Mapping[str, str]
) -> TrialRecord | None:
    """The last trial of exactly these locks in this situation, if it was discarded."""
    same = [trial for trial in trials if trial.fingerprint == fingerprint and trial.locks == dict(locks)]
    return same[-1] if same and same[-1].verdict is TrialVerdict.DISCARDED else None


def add_trial(trials: Sequence[TrialRecord], trial: TrialRecord) -> tuple[TrialRecord, ...]:
    """`trials` with one more; an earlier one of the same locks and the oldest beyond fifty go."""
    others = [one for one in trials if (one.fingerprint, one.locks) != (trial.fingerprint, trial.locks)]
    return (*others, trial)[-_REMEMBERED:]


def render_changes(stacks: Iterable[StackNews]) -> Iterator[str]:
    """`name before -> after` for each change, once, with + and - for what is added and removed."""
    seen = set()
    for stack in stacks:
        for change in stack.changes:
            text = render_change(change)
            if text not in seen:
                seen.add(text)
                yield text


def render_change(change: PackageChange) -> str:
    """One change as people write it."""
    if change.before is None:
        return f"+{change.name} {change.after}"
    if change.after is None:
        return f"-{change.name} {change.before}"
    return f"{change.name} {change.before} -> {change.after}"


def _is_older(left: str, right: str) -> bool:
    """By version; a local label such as +cpu says how it was built, not how new it is."""
    return _public(left) < _public(right)


def _public(text: str) -> Version:
    return Version(Version(text).public)
