"""`provision detect`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provision.cli.options import build_context, machine_options, output_option, read_probe, root_options
from provision.cli.output import Envelope, build_console, print_envelope
from provision.errors import UsageError
from provision.model.facts import Vendor
from provision.model.profile import ObstacleKind

if TYPE_CHECKING:
    from provision.actions.detect import Detection
    from provision.model.facts import Facts, Gpu


@click.command("detect")
@machine_options
@click.option(
    "--save-probe",
    "save_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep what the machine said, for a report or to plan on another machine.",
)
@output_option
@root_options
def detect_command(
    paste: str | None,
    probe_path: Path | None,
    save_path: Path | None,
    output: str,
    root: Path,
    profiles_dir: Path | None,
) -> None:
    """Say what this machine is and which profile fits it.

    \b
    provision detect
    provision detect --output json
    provision detect --save-probe my-machine.json
    nvidia-smi | provision detect --paste -
    """
    from provision.actions.detect import detect
    from provision.core.parse.probe_json import render_probe_json
    from provision.system.files import write_atomic

    if save_path is not None and save_path.exists() and not save_path.is_file():
        raise UsageError(f"--save-probe: {save_path} is not a regular file", hint="--save-probe machine.json")
    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)
    detection = detect(ctx, read_probe(paste, probe_path, ctx))
    if save_path is not None:
        write_atomic(save_path, render_probe_json(detection.probe).encode())
    if output == "json":
        print_envelope(Envelope(command="detect", status="ok", data=_build_data(detection)))
    else:
        _print_text(detection)


def _build_data(detection: Detection) -> dict[str, Any]:
    facts = detection.facts
    return {
        "vendor": facts.vendor,
        "gpus": facts.gpus,
        "gpu_source": facts.gpu_source,
        "driver": facts.driver,
        "cuda_driver_version": facts.cuda_driver_version,
        "conditions": [condition.id for condition in facts.conditions],
        "notes": facts.conditions,
        "host": facts.host,
        "versions": facts.versions,
        "profile": detection.profile,
        "obstacle": detection.obstacle,
        "profiles": detection.fits,
        "sources": [
            {
                "source": reading.source,
                "outcome": reading.outcome,
                "error": reading.error,
                "elapsed_s": reading.elapsed_s,
            }
            for reading in detection.probe.readings
        ],
    }


def _print_text(detection: Detection) -> None:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for label, value in _list_rows(detection.facts):
        table.add_row(label, value)
    if detection.profile:
        reasons = next(fit.reasons for fit in detection.fits if fit.name == detection.profile)
        table.add_row("Profile", f"{detection.profile}: {'; '.join(reasons)}")
    else:
        table.add_row("Profile", f"none: {detection.obstacle}")
    for reason, names in _group_others(detection).items():
        table.add_row("", f"{reason[0]} {', '.join(names)}: {reason[1]}")
    for condition in detection.facts.conditions:
        table.add_row("Note", f"{condition.message} [{condition.id}]", style="yellow")
    build_console().print(table)


def _group_others(detection: Detection) -> dict[tuple[str, str], list[str]]:
    """The profiles that are not taken, by what is said of them: those for other devices are one group."""
    groups: dict[tuple[str, str], list[str]] = {}
    for fit in detection.fits:
        if fit.name == detection.profile:
            continue
        kinds = {obstacle.kind for obstacle in fit.obstacles}
        if fit.fits:
            groups.setdefault(("also fits", "; ".join(fit.reasons)), []).append(fit.name)
        elif kinds == {ObstacleKind.CAPABILITY}:
            found = fit.obstacles[0].found
            item = f"{fit.name} ({fit.obstacles[0].needed})"
            groups.setdefault(("not", f"need another compute capability than {found}"), []).append(item)
        else:
            groups.setdefault(("not", "; ".join(fit.reasons)), []).append(fit.name)
    return groups


def _list_rows(facts: Facts) -> list[tuple[str, str]]:
    rows = [("GPU", _describe_gpu(gpu)) for gpu in facts.gpus]
    if not facts.gpus:
        rows.append(("GPU", {"none": "none found"}.get(str(facts.vendor), "unknown, see the notes")))
    if facts.driver:
        cuda = f", CUDA up to {facts.cuda_driver_version}" if facts.cuda_driver_version else ""
        rows.append(("Driver", f"{facts.driver}{cuda}"))
    rows += [(name, version) for name, version in facts.versions.items()]
    host = facts.host
    # Text that was pasted mostly says nothing of the machine around the GPU.
    system = host.distribution.name if host.distribution else host.system
    parts = [system, f"on {host.machine}" if host.machine else "", f"kernel {host.release}"]
    if system or host.machine:
        rows.append(("System", ", ".join(part for part in parts[: 3 if host.release else 2] if part)))
    if host.cpu_model or host.cpu_count:
        memory = f", {host.memory_bytes / 2**30:.1f} GiB of memory" if host.memory_bytes else ""
        rows.append(("CPU", f"{host.cpu_model or 'unknown'}, {host.cpu_count or '?'} cores{memory}"))
    if host.python_version:
        free = f", {host.disk_free_bytes / 1e9:.0f} GB free here" if host.disk_free_bytes is not None else ""
        rows.append(("Python", f"{host.python_version}{free}"))
    return rows


def _describe_gpu(gpu: Gpu) -> str:
    parts = [gpu.marketing_name or gpu.name or "without a name"]
    if gpu.vendor in (None, Vendor.NVIDIA):
        capability = gpu.best_compute_capability or "unknown"
        parts.append(f"compute capability {capability} ({gpu.arch or 'architecture unknown'})")
    else:
        parts.append(gpu.arch or "architecture unknown")
    if gpu.memory_mib is not None:
        parts.append(f"{gpu.memory_mib / 1024:.1f} GiB")
    return ", ".join(parts)
