"""What is newer, what lies outside, and when a trial is as good as what is active."""

from __future__ import annotations

import pytest

from provision.core.update import (
    add_trial,
    build_bounds,
    compare_results,
    find_discarded,
    find_flash_choice,
    find_new_faults,
    find_newer,
    hold_back,
    judge_models,
    leaves_bounds,
    list_available,
    list_outside,
    render_changes,
)
from provision.model.finding import Finding, Severity
from provision.model.plan import PackageChange
from provision.model.profile import FlashChoice, Profile
from provision.model.smoke import SmokeResult, Verdict
from provision.model.update import Available, Outside, StackNews, Standing, TrialRecord, TrialVerdict
from tests.support.profiles import PROFILES

PASS, DEGRADED, FAIL = Verdict.PASS, Verdict.DEGRADED, Verdict.FAIL


def change(name: str, before: str | None, after: str | None) -> PackageChange:
    return PackageChange(name=name, before=before, after=after)


def make_news(*changes: PackageChange, kept: bool = False) -> StackNews:
    return StackNews(
        name="main", models=("a",), former="main", lock_sha256="0", path="", kept=kept, changes=changes
    )


def make_result(
    verdict: Verdict, cer: float | None = 0.0, keywords: int = 6, model: str = "a"
) -> SmokeResult:
    return SmokeResult(
        model=model,
        stack="main",
        verdict=verdict,
        reason="as it reads",
        cer=cer,
        keywords_found=keywords,
        keywords_total=6,
        nonce="n",
        text="",
        dtype="bfloat16",
        attention="sdpa",
        device="cpu",
        device_name=None,
        load_s=None,
        first_token_s=None,
        tokens_per_s=50.0,
        peak_memory_bytes=None,
        peak_memory_kind=None,
        torch=None,
        transformers=None,
        numeric_fault=None,
        scores=(),
    )


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_pin_of_a_shipped_profile_lies_within_its_bound(profile: Profile) -> None:
    from packaging.specifiers import SpecifierSet

    assert profile.bounds.keys() == profile.packages.keys()
    for name, pin in profile.packages.items():
        assert SpecifierSet(profile.bounds[name]).contains(pin), name


def test_a_profile_without_bounds_stays_at_its_pins() -> None:
    from msgspec.structs import replace

    profile = replace(
        PROFILES[0], packages={"pillow": "13.0.0", "accelerate": "1.15.0"}, bounds={"pillow": ">=11"}
    )
    assert build_bounds(profile) == {"pillow": ">=11", "accelerate": "==1.15.0"}


def test_what_would_go_back_is_held() -> None:
    bounds = {"transformers": ">=5.18,<6", "accelerate": ">=1.1,<2", "pillow": ">=11"}
    active = {"transformers": "5.22.2", "accelerate": "1.15.0", "torch": "2.13.0"}
    found = {"transformers": "5.20.0", "accelerate": "1.16.0", "pillow": "13.0.0", "torch": "2.12.0"}
    assert hold_back(bounds, active, found) == bounds | {"transformers": "==5.22.2"}
    assert hold_back(bounds, active, active) == bounds


@pytest.mark.parametrize(
    ("active", "found", "leaves"),
    [
        ("5.22.2", "5.23.0", False),
        ("5.22.2", "6.0.0", True),
        ("5.22.2+local", "6.0.0", True),
        ("4.46.3", "4.47.1", False),
        ("4.46.3", "6.0.0", False),
    ],
)
def test_only_what_was_inside_can_leave_the_bounds(active: str, found: str, leaves: bool) -> None:
    bounds = {"transformers": ">=5.18,<6", "pillow": ">=11"}
    assert leaves_bounds(bounds, {"transformers": active}, {"transformers": found, "pillow": "9"}) is leaves


def test_flash_attn_stays_as_it_was_chosen() -> None:
    assert find_flash_choice({"flash-attn": "2.8.3", "kernels": "0.17.2"}) is FlashChoice.WHEEL
    assert find_flash_choice({"kernels": "0.17.2"}) is FlashChoice.KERNELS
    assert find_flash_choice({"torch": "2.13.0"}) is None


def test_only_what_rises_is_newer() -> None:
    rises = change("numpy", "2.4.9", "2.4.10")
    others = (
        change("torch", "2.13.0+cpu", "2.13.0"),
        change("pillow", "13.0.0", "12.1.0"),
        change("new", None, "1.0"),
        change("gone", "1.0", None),
    )
    assert find_newer((*others, rises)) == (rises,)
    assert find_newer(others) == ()


def test_what_is_available_counts_additions_and_leaves_out_what_falls() -> None:
    news = make_news(
        change("a", "1", "2"), change("b", "2", "1"), change("c", None, "1"), change("d", "1", None)
    )
    assert list_available([news]) == (
        Available(stack="main", name="a", active="1", new="2"),
        Available(stack="main", name="c", active=None, new="1"),
    )
    assert list(render_changes([news, news])) == ["a 1 -> 2", "b 2 -> 1", "+c 1", "-d 1"]


def test_each_version_outside_says_what_keeps_it_out() -> None:
    versions = dict.fromkeys(
        ("transformers", "accelerate", "pillow", "torch", "taken", "same", "unbound"), "1.0"
    )
    found = list_outside(
        dict.fromkeys([*versions, "unknown"], "2.0") | {"same": "1.0"},
        versions,
        versions | {"taken": "2.0"},
        {"transformers": ">=1,<2", "accelerate": "==1.0", "pillow": ">=1", "taken": ">=1", "same": ">=1"},
        torch_build="torch-2.13-cpu",
        cutoff="2026-11-14T00:00:00Z",
    )
    assert found == tuple(
        Outside(name=name, active="1.0", latest="2.0", reason=reason)
        for name, reason in {
            "transformers": "the profile's bound is transformers>=1,<2",
            "accelerate": "the verified pin is accelerate==1.0",
            "pillow": "it may be younger than 2026-11-14, or a package or a model beside it does not take it",
            "torch": "torch is the profile's build, torch-2.13-cpu: another comes with another profile or release",
            "unbound": "the profile names no range for it",
        }.items()
    )


def test_without_a_cut_off_age_is_no_reason() -> None:
    [item] = list_outside(
        {"pillow": "2"}, {"pillow": "1"}, {"pillow": "1"}, {"pillow": ">=1"}, torch_build="t", cutoff=None
    )
    assert item.reason == "a package or a model beside it does not take it"


@pytest.mark.parametrize(
    ("before", "after", "standing", "reason"),
    [
        (make_result(PASS), make_result(PASS), Standing.SAME, "as it reads"),
        (make_result(PASS), make_result(DEGRADED, 0.01), Standing.WORSE, "degraded, was pass: as it reads"),
        (make_result(PASS), make_result(FAIL, None, 0), Standing.WORSE, "fail, was pass: as it reads"),
        (make_result(DEGRADED, 0.01), make_result(FAIL), Standing.WORSE, "fail, was degraded: as it reads"),
        (make_result(DEGRADED, 0.01), make_result(PASS), Standing.BETTER, "pass, was degraded: as it reads"),
        (make_result(FAIL, None), make_result(PASS), Standing.BETTER, "pass, was fail: as it reads"),
        (make_result(FAIL, 0.2), make_result(DEGRADED), Standing.BETTER, "degraded, was fail: as it reads"),
        (make_result(FAIL, 0.2), make_result(FAIL, 0.9), Standing.SAME, "as it reads"),
        (make_result(DEGRADED, 0.02), make_result(DEGRADED, 0.0305), Standing.SAME, "as it reads"),
        (
            make_result(DEGRADED, 0.02),
            make_result(DEGRADED, 0.041),
            Standing.WORSE,
            "character error rate 4.1%, was 2.0%",
        ),
        (
            make_result(DEGRADED, 0.02, 6),
            make_result(DEGRADED, 0.02, 5),
            Standing.WORSE,
            "5 keywords found, were 6",
        ),
        (None, make_result(PASS), Standing.NEW, "as it reads"),
    ],
)
def test_a_model_against_its_former_reading(
    before: SmokeResult | None, after: SmokeResult, standing: Standing, reason: str
) -> None:
    [compared] = compare_results([before] if before else [], [after])
    assert (compared.standing, compared.reason) == (standing, reason)
    assert compared.verdict_before == (before.verdict if before else None)
    assert (compared.cer, compared.tokens_per_s) == (after.cer, 50.0)


def test_one_model_that_reads_worse_discards_the_trial() -> None:
    before = [make_result(FAIL, None, model="a"), make_result(PASS, model="b")]
    better = compare_results(before, [make_result(PASS, model="a"), make_result(PASS, model="b")])
    assert judge_models(better) == ""
    worse = compare_results(before, [make_result(PASS, model="a"), make_result(FAIL, None, model="b")])
    assert judge_models(worse) == "b: fail, was pass: as it reads"


def test_a_trial_in_which_nothing_passes_is_no_success() -> None:
    compared = compare_results([make_result(FAIL, None)], [make_result(FAIL, None)])
    assert judge_models(compared) == "no model passed: a: as it reads"


def test_only_what_was_right_before_counts_as_a_fault() -> None:
    def finding(name: str, severity: Severity) -> Finding:
        return Finding(id=name, severity=severity, evidence="")

    wrong, known = finding("deep.sdpa-math", Severity.FAIL), finding("deep.cudnn", Severity.FAIL)
    fine = finding("deep.import", Severity.PASS)
    assert find_new_faults([known, finding("deep.sdpa-math", Severity.PASS)], [fine, wrong, known]) == (
        wrong,
    )


def make_trial(
    verdict: TrialVerdict, lock: str = "1", fingerprint: str = "f", reason: str = ""
) -> TrialRecord:
    return TrialRecord(
        date="2026-11-21", fingerprint=fingerprint, locks={"main": lock}, verdict=verdict, reason=reason
    )


def test_only_the_same_locks_in_the_same_situation_were_tried() -> None:
    tried = make_trial(TrialVerdict.DISCARDED)
    others = [
        make_trial(TrialVerdict.DISCARDED, lock="2"),
        make_trial(TrialVerdict.DISCARDED, fingerprint="g"),
    ]
    assert find_discarded([tried, *others], "f", {"main": "1"}) == tried
    assert find_discarded(others, "f", {"main": "1"}) is None
    assert find_discarded([tried], "f", {"main": "1", "second": "1"}) is None
    assert find_discarded([tried, make_trial(TrialVerdict.PROMOTED)], "f", {"main": "1"}) is None


def test_the_last_fifty_trials_are_remembered_each_once() -> None:
    many = [make_trial(TrialVerdict.DISCARDED, lock=str(number)) for number in range(50)]
    again = make_trial(TrialVerdict.PROMOTED, lock="49")
    assert add_trial(many, again) == (*many[:49], again)
    new = make_trial(TrialVerdict.DISCARDED, lock="new")
    assert add_trial(many, new) == (*many[1:], new)
