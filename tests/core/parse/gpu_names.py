"""The rules that ship, as the tests of parsing and of architectures need them."""

from pathlib import Path

from provision.core.architecture import GpuNames
from provision.core.yaml_text import convert, parse_yaml

ROOT = Path(__file__).parents[3]
SHARED_DATA = ROOT.parent / "shared" / "data"


def load_gpu_names() -> GpuNames:
    """`profiles/gpus.yaml`, read as the tool reads it."""
    text = (ROOT / "profiles" / "gpus.yaml").read_text(encoding="utf-8")
    return convert(parse_yaml(text, where="gpus.yaml"), GpuNames, where="gpus.yaml")
