"""What changing a user's environment would do: looked at and resolved, nothing touched."""

from __future__ import annotations

import hashlib
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.knowledge import load_flash_knowledge
from provision.actions.lock_stack import ResolvedStack, resolve_stack
from provision.actions.plan import NetworkSupply, Request, list_unreadable
from provision.actions.situation import Situation, survey
from provision.core.child_env import build_worker_env
from provision.core.flash_attention import judge_installed
from provision.core.flash_wheels import build_flash_target
from provision.core.into import FlashJudge, build_into_plan
from provision.core.into_conflicts import list_retry_requirements
from provision.core.into_environment import check_changes, check_environment, check_python
from provision.core.machine_record import build_machine_record
from provision.errors import DownloadError, StateError, UsageError
from provision.model.environment import EnvironmentReport
from provision.model.into import InterpreterView, IntoPlan
from provision.model.state import MachineRecord
from provision.system.environment import inspect_environment
from provision.system.environment_change import ask_interpreter, check_not_own, find_prefix
from provision.system.environment_layout import find_kind, inspect_interpreter
from provision.system.into_store import IntoStore
from provision.system.store import Store


class Environment(Struct, frozen=True, kw_only=True):
    """The user's environment: what its files tell, and what its own python says."""

    prefix: Path
    python: Path
    report: EnvironmentReport
    view: InterpreterView


class PreparedChange(Struct, frozen=True, kw_only=True):
    """A plan with what it was made from.

    `machine` is the machine with the tool's own Python, as a return to the generation will compare it.
    """

    found: Environment
    situation: Situation
    stack: ResolvedStack
    plan: IntoPlan
    machine: MachineRecord

    @property
    def fingerprint(self) -> str:
        """Of a generation in a user's environment: an apply that builds stacks never takes it for its own."""
        parts = (self.situation.fingerprint, "into", str(self.found.prefix), self.found.view.version)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def is_done(self) -> bool:
        """Whether the active generation names the environment as it is, and config.yaml says so."""
        active = self.situation.active
        same = active is not None and active.fingerprint == self.fingerprint
        return same and not self.plan.changes and not self.situation.drift


def look_at_environment(ctx: Context, store: Store, environment: Path) -> Environment:
    """Raises UsageError for what must not be changed in place, StateError while another application changes it."""
    ctx.reporter.step(f"looking at {environment}")
    prefix = find_prefix(environment)
    check_not_own(prefix)
    IntoStore(store.state_dir, prefix).check_owner()
    python = Path(inspect_interpreter(prefix, find_kind(prefix)).path)
    view = ask_interpreter(python, env=build_worker_env(ctx.env))
    report = inspect_environment(prefix, env=ctx.env)
    check_environment(report, view)
    if Path(view.prefix).resolve() != prefix.resolve():
        raise UsageError(
            f"{python} works in {view.prefix}, not in {prefix}",
            hint=f"provision apply auto --into {view.prefix}",
        )
    return Environment(prefix=prefix, python=python, report=report, view=view)


def prepare_change(
    ctx: Context, store: Store, found: Environment, request: Request, judge: FlashJudge | None
) -> PreparedChange:
    """Survey, resolve for the environment's own python, and compare. Changes nothing.

    Raises UsageError where the models need more than one environment, or a package cannot be taken out.
    """
    ctx.reporter.step("looking at the machine")
    surveyed = survey(ctx, store, request.profile, request.models)
    for model in list_unreadable(ctx, surveyed.selection.models):
        ctx.reporter.warn(f"{model.key} cannot be smoked yet: no family {model.family!r}")
    situation = _look_through(surveyed, found.view)
    check_python(found.view, situation.build, str(found.prefix))
    ctx.reporter.step(f"resolving packages for profile {situation.profile.name}")
    theirs = replace(ctx, python=found.python)
    resolved = request.supply.resolve(theirs, situation)
    if len(resolved.stacks) != 1:
        groups = "; ".join(", ".join(stack.spec.models) for stack in resolved.stacks)
        reason = resolved.separations[0].reason if resolved.separations else "their packages clash"
        raise UsageError(
            f"these models need {len(resolved.stacks)} environments ({groups}): {reason}",
            hint=f"provision apply {request.profile} --into {found.prefix} "
            f"--models {','.join(resolved.stacks[0].spec.models)}",
        )
    stack = resolved.stacks[0]
    judge = judge or _build_flash_judge(ctx, found, situation, stack)
    plan = _compare(found, situation, stack, judge)
    if plan.conflicts and isinstance(request.supply, NetworkSupply):
        stack, plan = _spare(theirs, found, situation, stack, plan, request.supply, judge)
    check_changes(found.report, plan)
    machine = build_machine_record(surveyed.detection.facts)
    prepared = PreparedChange(found=found, situation=situation, stack=stack, plan=plan, machine=machine)
    return prepared if prepared.is_done else replace(prepared, plan=_announce(store, situation, plan))


def _announce(store: Store, situation: Situation, plan: IntoPlan) -> IntoPlan:
    """With what is written besides the environment."""
    written = f"{store.config_path} ({'changed' if situation.config_exists else 'new'})"
    return replace(plan, generation=store.next_number(), files=(written,))


def check_unchanged(ctx: Context, found: Environment) -> None:
    """Raise StateError when somebody has changed the environment since it was looked at."""
    if inspect_environment(found.prefix, env=ctx.env).distributions != found.report.distributions:
        raise StateError(
            f"{found.prefix} was changed by somebody else since the plan was made",
            hint=f"provision apply auto --into {found.prefix} --dry-run",
        )


def _look_through(situation: Situation, view: InterpreterView) -> Situation:
    """The same machine, with the Python of the environment."""
    detection = situation.detection
    host = replace(detection.facts.host, python_version=view.version)
    facts = replace(detection.facts, host=host)
    return replace(situation, detection=replace(detection, facts=facts))


def _compare(found: Environment, situation: Situation, stack: ResolvedStack, judge: FlashJudge) -> IntoPlan:
    return build_into_plan(
        found.report,
        situation.detection.facts.host,
        stack.lock,
        judge,
        profile=situation.profile.name,
        models=stack.spec.models,
        tag=stack.offer.tag,
        attempts=stack.attempts,
    )


def _build_flash_judge(
    ctx: Context, found: Environment, situation: Situation, stack: ResolvedStack
) -> FlashJudge:
    """Decides about an installed flash-attn by the GPU, the new torch and the torch that it was built beside."""
    facts, former = situation.detection.facts, found.report.get("torch")
    gpu = facts.gpus[0] if facts.gpus else None
    target = build_flash_target(
        torch=stack.offer.torch,
        cuda=situation.build.cuda,
        python=".".join(found.view.version.split(".")[:2]),
        platform=facts.host.platform,
        capability=gpu.best_compute_capability if gpu else None,
    )
    knowledge, before = load_flash_knowledge(ctx), former.version if former else None
    return lambda version: judge_installed(version, target, knowledge, torch_before=before)


def _spare(
    theirs: Context,
    found: Environment,
    situation: Situation,
    stack: ResolvedStack,
    plan: IntoPlan,
    supply: NetworkSupply,
    judge: FlashJudge,
) -> tuple[ResolvedStack, IntoPlan]:
    """Resolve again within what packages that stay ask for. Where that is not possible, their conflict is told."""
    wishes = list_retry_requirements(plan, situation.profile.packages)
    if not wishes:
        return stack, plan
    spec = replace(stack.spec, requirements=(*stack.spec.requirements, *wishes))
    platform = situation.detection.facts.host.platform
    try:
        other = resolve_stack(theirs, spec, situation.build, platform, policy=supply.policy)
    except DownloadError as error:
        theirs.reporter.detail(f"{', '.join(wishes)} cannot be met: {error.message}")
        return stack, plan
    other = replace(other, spec=stack.spec)
    better = _compare(found, situation, other, judge)
    return (other, better) if len(better.conflicts) < len(plan.conflicts) else (stack, plan)
