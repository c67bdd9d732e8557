"""Text that only mentions GPUs is no output of a program: nothing is concluded from it."""

import pytest

from provision.core.parse.facts import parse_probe
from provision.core.parse.recognise import build_pasted_probe
from tests.core.parse.gpu_names import load_gpu_names

NAMES = load_gpu_names()
TEXTS = {
    "readme": (
        "# Renderer\nNeeds an NVIDIA GeForce RTX 4090 with driver version 550.54 and CUDA 12.4, or ROCm 6 (gfx1100).\n"
    ),
    "json of an application": (
        '{"gpus": [{"name": "NVIDIA H100", "price": 80}], "driver": "550.54", "message": "nvidia-smi shows 8"}'
    ),
    "chat": "[12:00] al: nvidia-smi says Driver Version: 535.104 CUDA Version: 12.2\n[12:01] bo: try nvidia-smi -L\n",
    "log of torch": (
        "2026-01-01 12:00:00 INFO Using device cuda:0 (NVIDIA GeForce RTX 3090)\n"
        "torch.cuda.OutOfMemoryError: CUDA out of memory. GPU 0 has a total capacity of 23.69 GiB\n"
    ),
    "log of llama.cpp": (
        "ggml_cuda_init: found 1 CUDA devices:\n  Device 0: NVIDIA GeForce RTX 4090, compute capability 8.9\n"
    ),
    "price list": "name,price,stock\nNVIDIA GeForce RTX 4090,1999,12\nAMD Radeon RX 7900 XTX,999,3\n",
    "price list with an index": "index, name, price\n0, GeForce RTX 3090, 800\n",
    "table in markdown": (
        "| GPU | Memory | Driver |\n|---|---|---|\n| NVIDIA RTX A6000 | 48 GB | 535 |\n"
        "| 0 | NVIDIA L4 | Off | 24 GB |\n"
    ),
    "another program is missing": (
        'bash: nvidia-settings: command not found\nWhere "nvidia-smi" is named, install it.\n'
    ),
    "code": (
        'out = run(["nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv"])\n'
        'pattern = re.compile(r"GPU (\\d+): (.*) \\(UUID: (.*)\\)")\n'
    ),
    "labels of a cluster": 'nvidia.com/gpu.product: NVIDIA-A100-SXM4-40GB\nnvidia.com/gpu.memory: "40960"\n',
    "names of people": "Name\n----\nAlice\nBob\n",
    "targets in prose": "gfx1030 and gfx1100 are supported; set HSA_OVERRIDE_GFX_VERSION=10.3.0\n",
    "a mac in prose": "The Chipset Model of your Mac matters. Metal Support: Metal 3 is needed for Apple M1.\n",
    "settings with an id": "ID=42\nNAME=widget\nVERSION_ID=7\n",
    "a version in an error": "Error: 580.95.05 is not a valid version\n",
    "a model's card": "model name: flux1-dev\nflags: --lowvram\nvendor_id: 12\n",
    "an inventory": "Vendor: NVIDIA Corporation\nDevice: laptop\ndriver: nvidia-driver-535\n",
    "json with a key of windows": '{"name": "NVIDIA GeForce RTX 4090", "AdapterRAM": 4293918720}',
    "lspci in a sentence": 'lspci prints "01:00.0 VGA compatible controller: NVIDIA Corporation ..." for your card.\n',
    "keys in a sentence": "The form asks: Product Name : RTX, Driver Version : latest\nDevice Name   : foo\n",
    "a printer": 'Device 0: "printer"\nCUDA driver version is insufficient for CUDA runtime version\n',
    "a call centre": "Agent 2\nMarketing Name: please call Sandra\n",
    "cards of a game": 'device,price\ncard0,12\ncard1,13\n{"card0": {"title": "ace"}}\n',
    "a household": "Device Type     laptop\nDevice Name     kitchen tablet\nDevice Vendor   Acme\n",
    "a web page": '<html><gpu id="1"><product_name>RTX 4090</product_name></gpu></html>',
    "an id of windows in a sentence": "OK\nDisplay settings: PCI\\VEN_10DE&DEV_2684 is the id of a 4090\n",
    "a sentence with a size": "NVIDIA GeForce RTX 4090, 24564 MiB is what my friend has, and it is great\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_mention_is_no_output(name):
    facts = parse_probe(build_pasted_probe(TEXTS[name], "2026-11-21T12:00:00Z"), NAMES)
    assert (facts.vendor, facts.gpus, facts.driver, facts.cuda_driver_version) == (None, (), None, None)
    assert [str(condition.id) for condition in facts.conditions] == ["unrecognised"]
