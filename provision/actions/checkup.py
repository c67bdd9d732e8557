"""Everything that the doctor's checks look at, each thing found out when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.detect import Detection, detect
from provision.actions.knowledge import load_known_pairs
from provision.actions.network import look_at_network, read_first_hub_request
from provision.actions.stack_state import describe_stack
from provision.actions.state_views import (
    Active,
    find_wrong_size,
    load_active,
    look_at_config,
    look_at_state,
    name_root,
)
from provision.actions.weight_hashes import find_altered
from provision.actions.wholeness import check_recorded
from provision.core.checks.resources import HUB_CACHE, STATE, TEMPORARY, UV_CACHE
from provision.core.cures import build_place
from provision.errors import ToolError
from provision.model.checkup import (
    ComputedEnvironment,
    ConfigView,
    InspectedEnvironment,
    Place,
    PythonView,
    Scope,
    Space,
    StackState,
    StateView,
)
from provision.model.environment import EnvironmentReport, KnownPairs, LibraryFolder
from provision.model.facts import Facts, Probe
from provision.model.network import NetworkView
from provision.model.profile import ProfileFit, TorchBuild
from provision.model.smoke import SmokeResult
from provision.model.state import StackRecord
from provision.system.environment import inspect_environment
from provision.system.hub_request import HubRequest
from provision.system.interpreter import inspect_interpreter, is_superuser
from provision.system.spaces import (
    find_spaces,
    find_temporary_dir,
    find_uv_cache,
    read_memory_limit_bytes,
    read_shared_memory_bytes,
)
from provision.system.store import Store
from provision.system.torch_files import find_library_folders


class LiveCheckup:
    """This machine, or with `probe` another one, of which only the facts are known."""

    def __init__(self, ctx: Context, *, scope: Scope, into: Path | None, probe: Probe | None) -> None:
        self._ctx = ctx
        self._into = into
        self._probe = probe
        self._store = Store(ctx.root)
        self.scope = scope
        self.env: Mapping[str, str] = {} if scope.elsewhere else ctx.env

    @cached_property
    def _attempt(self) -> Detection | Exception:
        """Looking at the machine can take seconds: a failure is kept too, for every check that needs it."""
        try:
            return detect(self._ctx, self._probe)
        except Exception as error:
            return error

    @property
    def _detection(self) -> Detection:
        if isinstance(self._attempt, Exception):
            raise self._attempt
        return self._attempt

    @property
    def facts(self) -> Facts:
        """What the machine is."""
        return self._detection.facts

    @property
    def fits(self) -> tuple[ProfileFit, ...]:
        """Every profile and what keeps it away."""
        return self._detection.fits

    @property
    def profile(self) -> str | None:
        """The profile that an apply would take."""
        return self._detection.profile

    @property
    def obstacle(self) -> str | None:
        """Why there is none."""
        return self._detection.obstacle

    @property
    def build(self) -> TorchBuild | None:
        """The torch of that profile."""
        if self.profile is None:
            return None
        knowledge = self._detection.knowledge
        return knowledge.builds[knowledge.get_profile(self.profile).torch]

    @cached_property
    def place(self) -> Place:
        """Where cures are typed."""
        return build_place(
            self.facts.host,
            self.env,
            superuser=is_superuser(),
            elsewhere=self.scope.elsewhere,
            root=None if self.scope.elsewhere else name_root(self._ctx),
        )

    @cached_property
    def python(self) -> PythonView:
        """The interpreter."""
        return inspect_interpreter()

    @cached_property
    def uv(self) -> tuple[str | None, str | None]:
        """uv's version, or why it does not answer."""
        from provision.system.uv import ask_version, find_uv

        try:
            return ask_version(find_uv(), env=self._ctx.env), None
        except ToolError as error:
            return None, error.message

    @cached_property
    def spaces(self) -> tuple[Space, ...]:
        """The file systems that will be filled."""
        folders = {STATE: self._store.state_dir, UV_CACHE: find_uv_cache(self._ctx.env)}
        if (hub := self._hub_request[0]) is not None:
            folders[HUB_CACHE] = hub.cache_dir
        return find_spaces(folders | {TEMPORARY: find_temporary_dir(self._ctx.env)})

    @cached_property
    def shared_memory_bytes(self) -> int | None:
        """Shared memory."""
        return read_shared_memory_bytes()

    @cached_property
    def memory_limit_bytes(self) -> int | None:
        """The control group's limit."""
        return read_memory_limit_bytes()

    @cached_property
    def _active(self) -> Active:
        return load_active(self._store)

    @cached_property
    def state(self) -> StateView:
        """The state folder."""
        return look_at_state(self._store, self._active)

    @cached_property
    def stacks(self) -> tuple[StackState, ...]:
        """The active generation's stacks."""
        active = self._active.record
        return tuple(
            self._describe(stack, inspected.report)
            for stack, inspected in zip(active.stacks if active else (), self._inspected_stacks, strict=True)
        )

    def _describe(self, stack: StackRecord, report: EnvironmentReport) -> StackState:
        active = self._active.record
        if not stack.is_users or active is None:
            return describe_stack(stack, self._store.state_dir / stack.path, report)
        problem = check_recorded(self._store, active.number, stack)
        return StackState(
            name=stack.name, path=stack.path, problem=problem, packages=len(report.distributions)
        )

    @cached_property
    def weights_problems(self) -> tuple[str, ...]:
        """By sizes."""
        active = self._active.record
        found = ((item.key, find_wrong_size(item)) for item in (active.models if active else ()))
        return tuple(f"{key}: {name} is missing or has another size" for key, name in found if name)

    @cached_property
    def weights_altered(self) -> tuple[str, ...]:
        """By hashes."""
        active = self._active.record
        models = active.models if active else ()
        return tuple(f"{item.key}: {problem}" for item in models if (problem := find_altered(item)))

    @cached_property
    def config(self) -> ConfigView:
        """config.yaml."""
        return look_at_config(self._store, self._active.record)

    @property
    def smoke(self) -> tuple[SmokeResult, ...]:
        """What the active generation's models read."""
        active = self._active.record
        return active.smoke if active else ()

    @cached_property
    def network(self) -> NetworkView:
        """Settings; and where the network was asked for, what answered."""
        hub, problem = self._hub_request
        detection = self._detection if self.scope.network else None
        return look_at_network(self._ctx, detection, hub=hub, hub_problem=problem)

    @cached_property
    def _hub_request(self) -> tuple[HubRequest | None, str | None]:
        return read_first_hub_request(self._ctx)

    @cached_property
    def environments(self) -> tuple[InspectedEnvironment, ...]:
        """The stacks, and the environment that was named."""
        if self._into is None:
            return self._inspected_stacks
        return (*self._inspected_stacks, self._inspect(str(self._into), self._into))

    @cached_property
    def _inspected_stacks(self) -> tuple[InspectedEnvironment, ...]:
        active = self._active.record
        return tuple(
            self._inspect(
                f"stack {stack.name}", self._store.state_dir / stack.path, managed=not stack.is_users
            )
            for stack in (active.stacks if active else ())
        )

    def _inspect(self, subject: str, folder: Path, *, managed: bool = False) -> InspectedEnvironment:
        report = inspect_environment(folder, verify_files=self.scope.deep, env=self._ctx.env)
        # A stack is ours even where its manifest, by which it is known, is what it lacks.
        return InspectedEnvironment(
            subject=subject, report=replace(report, managed=True) if managed else report
        )

    @cached_property
    def computed(self) -> tuple[ComputedEnvironment, ...]:
        """The deep checks, by each environment's own interpreter."""
        from provision.actions.deep import compute

        return tuple(compute(self._ctx, item) for item in self.environments)

    @cached_property
    def known_pairs(self) -> KnownPairs:
        """profiles/bad_pairs.yaml."""
        return load_known_pairs(self._ctx)

    @cached_property
    def library_folders(self) -> tuple[LibraryFolder, ...]:
        """Folders of LD_LIBRARY_PATH outside of the stacks with CUDA libraries in them."""
        return tuple(find_library_folders(self._ctx.env, self._store.stacks_dir))
