"""What this machine is, and which profile fits it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct

from provision.actions.context import Context
from provision.core.parse.overrides import parse_override_values
from provision.errors import NoProfileError
from provision.model.facts import Facts, Probe
from provision.model.profile import ProfileFit
from provision.system.probe import start_probe

if TYPE_CHECKING:
    from provision.actions.knowledge import Knowledge

# Of 1 MiB each. A machine of eight GPUs fills some hundred kilobytes with `nvidia-smi -q -x`.
_PASTE_PIECES = 8
_PASTE_HINT = "nvidia-smi | provision detect --paste -   # reads standard input"


class Detection(Struct, frozen=True, kw_only=True):
    """`profile` is what "auto" would take, None when nothing fits; `obstacle` then says why."""

    probe: Probe
    facts: Facts
    fits: tuple[ProfileFit, ...]
    profile: str | None
    obstacle: str | None
    knowledge: Knowledge


def detect(ctx: Context, probe: Probe | None = None) -> Detection:
    """Look at this machine, or at the one that `probe` was taken from.

    Raises UsageError for a malformed `PROVISION_GPU_…` override, BadFileError for a profile that is none.
    """
    if probe is None:
        parse_override_values(ctx.env)
    ask = start_probe(env=ctx.env, root=ctx.root) if probe is None else lambda: probe
    # The driver is waited for, not computed: what ships is imported and read meanwhile.
    from provision.actions.knowledge import load_gpu_names, load_knowledge
    from provision.core.parse.facts import parse_probe
    from provision.core.profiles import AUTO, choose_profile, judge_profiles

    knowledge, names = load_knowledge(ctx), load_gpu_names(ctx)
    taken = ask()
    facts = parse_probe(taken, names)
    fits = judge_profiles(facts, knowledge.profiles, knowledge.builds)
    try:
        profile, obstacle = choose_profile(AUTO, fits, knowledge.profiles, facts).name, None
    except NoProfileError as error:
        profile, obstacle = None, error.message
    return Detection(
        probe=taken, facts=facts, fits=fits, profile=profile, obstacle=obstacle, knowledge=knowledge
    )


def build_probe_of_paste(ctx: Context, source: str) -> Probe:
    """A probe of the text in the file `source`, or on standard input for "-": the output of known programs.

    Of a text longer than any such output only the beginning is read. Raises BadFileError.
    """
    # Imported here: what knows every program's output is needed for pasted text only.
    from provision.core.diagnosis.cleaning import decode_log
    from provision.core.parse.recognise import build_pasted_probe
    from provision.system.log_source import read_pieces

    data = b"".join(islice(read_pieces(source, hint=_PASTE_HINT), _PASTE_PIECES))
    return build_pasted_probe(decode_log(data), ctx.timestamp())
