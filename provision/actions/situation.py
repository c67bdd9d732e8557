"""Where an apply starts from: the machine, the profile and models that are wanted, the active generation."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.detect import Detection, detect
from provision.actions.knowledge import load_catalogue
from provision.actions.known_locks import hash_lock, load_lock_document
from provision.actions.weights import identify_revision
from provision.actions.wholeness import find_problem
from provision.core.config_doc import diff_config, wanted_models
from provision.core.models import Selection, choose_models
from provision.core.parse.host import parse_host
from provision.core.planner import build_basis, build_fingerprint
from provision.core.profiles import choose_profile, judge_profiles
from provision.core.targets import Target, choose_target, complete_host
from provision.errors import BadFileError, NoProfileError, StateError
from provision.model.config import Drift
from provision.model.facts import Host, Probe
from provision.model.profile import ObstacleKind, Profile, TorchBuild
from provision.model.smoke import Verdict
from provision.model.state import GenerationRecord
from provision.system.files import hash_bytes
from provision.system.probe_host import probe_host
from provision.system.store import Store


class Situation(Struct, frozen=True, kw_only=True):
    """All that decides what an apply has to do. `problem` is what the active generation lacks on disk.

    `basis` is what a plan made now rests on; `is_as_locked` says that provision.lock names no other packages.
    `elsewhere` is about another machine, of which `assumptions` say what was taken for granted; `target` is its
    platform and Python where they are not this machine's.
    """

    detection: Detection
    profile: Profile
    build: TorchBuild
    selection: Selection
    fingerprint: str
    active: GenerationRecord | None
    drift: tuple[Drift, ...]
    problem: str | None
    production_models: tuple[str, ...]
    basis: dict[str, str]
    config_exists: bool
    is_as_locked: bool = True
    target: Target | None = None
    assumptions: tuple[str, ...] = ()
    elsewhere: bool = False

    @property
    def is_current(self) -> bool:
        """The active generation is what is wanted, every model passed, and disk and config.yaml agree.

        A model that failed is wanted still: what kept it from reading may have passed.
        """
        if self.active is None or self.active.fingerprint != self.fingerprint:
            return False
        passed = all(result.verdict is not Verdict.FAIL for result in self.active.smoke)
        return passed and self.problem is None and not self.drift and self.is_as_locked


def survey(
    ctx: Context,
    store: Store,
    profile_name: str,
    requested: Sequence[str],
    probe: Probe | None = None,
    *,
    building: bool = False,
) -> Situation:
    """Find out, for this machine or the one that `probe` was taken from; changes nothing.

    Another machine has no generation here. For `building` alone a profile may be one that this machine has no
    device for. Raises NoProfileError, UsageError or BadFileError.
    """
    config = store.load_config()
    config_text = read_config_text(store, config)
    catalogue = load_catalogue(ctx)
    selection = choose_models(requested, wanted_models(config_text, where=str(store.config_path)), catalogue)
    detection = detect(ctx, probe)
    target: Target | None = None
    assumptions: tuple[str, ...] = ()
    if probe is not None:
        detection, target, assumptions = _look_elsewhere(ctx, detection)
    profile = _choose_profile(profile_name, detection, elsewhere=probe is not None, building=building)
    build = detection.knowledge.builds[profile.torch]
    revisions = {model.key: identify_revision(ctx, model) for model in selection.models}
    active = _load_active(ctx, store) if probe is None else None
    return Situation(
        detection=detection,
        profile=profile,
        build=build,
        selection=selection,
        fingerprint=build_fingerprint(
            detection.facts, profile, build, selection.models, revisions, detection.facts.host.python_version
        ),
        active=active,
        drift=() if active is None else diff_config(config_text, active.config, where=str(store.config_path)),
        problem=None if active is None else find_problem(store, active),
        basis=build_basis(
            detection.facts,
            profile,
            build,
            selection.models,
            python=detection.facts.host.python_version,
            active=None if active is None else active.number,
            config_sha256=hash_bytes(config),
            lock_sha256=hash_lock(ctx.root),
            root=str(ctx.root),
        ),
        config_exists=config is not None,
        is_as_locked=active is None or _is_as_locked(ctx, profile, detection.facts.host, active),
        production_models=tuple(model.key for model in catalogue.models if model.production),
        target=target,
        assumptions=assumptions,
        elsewhere=probe is not None,
    )


def _is_as_locked(ctx: Context, profile: Profile, host: Host, active: GenerationRecord) -> bool:
    """Whether the active generation is built of what provision.lock names for its profile and models, if it does.

    A lock for another platform or Python names nothing for this machine, one that cannot be read nothing known.
    """
    try:
        document = load_lock_document(ctx.root)
    except BadFileError:
        # Whoever wants its packages is told what is wrong with it; `provision lock` writes it anew.
        return False
    python = ".".join(host.python_version.split(".")[:2])
    if document is None or document.lockfile.profile != profile.name:
        return True
    if (document.lockfile.platform, document.lockfile.python) != (host.platform, python):
        return True
    if {model.key for model in document.lockfile.models} != set(active.asked_models):
        return True
    return {lock.sha256 for lock in document.locks.values()} == {stack.lock_sha256 for stack in active.stacks}


def _look_elsewhere(ctx: Context, detection: Detection) -> tuple[Detection, Target | None, tuple[str, ...]]:
    """Another machine's detection, completed by what is assumed of it."""
    here = parse_host(Probe(created="", readings=(probe_host(ctx.env, None),)))
    facts, assumptions = complete_host(detection.facts, here)
    knowledge = detection.knowledge
    fits = judge_profiles(facts, knowledge.profiles, knowledge.builds)
    return replace(detection, facts=facts, fits=fits), choose_target(facts.host, here), assumptions


# What a build needs of the machine; a device and its driver it does not.
_KEEPS_FROM_BUILDING = {ObstacleKind.PLATFORM, ObstacleKind.PYTHON}


def _choose_profile(name: str, detection: Detection, *, elsewhere: bool, building: bool) -> Profile:
    fit = next((fit for fit in detection.fits if fit.name == name), None)
    if building and fit and not _KEEPS_FROM_BUILDING & {obstacle.kind for obstacle in fit.obstacles}:
        return detection.knowledge.get_profile(name)
    try:
        return choose_profile(name, detection.fits, detection.knowledge.profiles, detection.facts)
    except NoProfileError as error:
        if not elsewhere:
            raise
        # What would be done on this machine is no advice for another.
        hint = "provision profiles --paste FILE   # which would fit there, and what keeps the others"
        raise NoProfileError(error.message, hint=hint) from error


def _load_active(ctx: Context, store: Store) -> GenerationRecord | None:
    """The active generation; one that cannot be read counts as none, and an apply makes a new one."""
    try:
        return store.load_active()
    except StateError as error:
        ctx.reporter.warn(f"{error.message}; a new generation is made")
        return None


def read_config_text(store: Store, config: bytes | None) -> str:
    """config.yaml as text, a byte order mark included. Raises BadFileError when it is not UTF-8."""
    if config is None:
        return ""
    try:
        return config.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadFileError(
            f"{store.config_path}: not UTF-8 at byte {error.start}", hint=f"file {store.config_path}"
        ) from error
