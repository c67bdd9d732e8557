"""What this machine is, and which profile fits it."""

from __future__ import annotations

from msgspec import Struct

from provision.actions.context import Context
from provision.actions.knowledge import Knowledge, load_knowledge
from provision.core.architecture import GpuNames
from provision.core.parse.facts import parse_probe
from provision.core.profiles import AUTO, choose_profile, judge_profiles
from provision.core.yaml_text import convert, parse_yaml
from provision.errors import NoProfileError
from provision.model.facts import Facts, Probe
from provision.model.profile import ProfileFit
from provision.system.probe import probe_machine
from provision.system.resources import load_text


class Detection(Struct, frozen=True, kw_only=True):
    """`profile` is what "auto" would take, None when nothing fits; `obstacle` then says why."""

    probe: Probe
    facts: Facts
    fits: tuple[ProfileFit, ...]
    profile: str | None
    obstacle: str | None
    knowledge: Knowledge


def detect(ctx: Context, probe: Probe | None = None) -> Detection:
    """Look at this machine, or at the one that `probe` was taken from."""
    knowledge = load_knowledge(ctx)
    taken = probe or probe_machine(env=ctx.env, root=ctx.root)
    facts = parse_probe(taken, _load_gpu_names(ctx))
    fits = judge_profiles(facts, knowledge.profiles, knowledge.builds)
    try:
        profile, obstacle = choose_profile(AUTO, fits, knowledge.profiles, facts).name, None
    except NoProfileError as error:
        profile, obstacle = None, error.message
    return Detection(
        probe=taken, facts=facts, fits=fits, profile=profile, obstacle=obstacle, knowledge=knowledge
    )


def _load_gpu_names(ctx: Context) -> GpuNames:
    path = ctx.data_dir / "profiles" / "gpus.yaml"
    return convert(parse_yaml(load_text(path), where=str(path)), GpuNames, where=str(path))
