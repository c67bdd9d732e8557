"""Text of NVIDIA's tools and of tools that report on NVIDIA's GPUs, most telling first."""

from __future__ import annotations

from provision.core.parse.nvidia_text.csv_query import is_csv, is_headless_csv, parse_csv_text
from provision.core.parse.nvidia_text.device_query import is_device_query, parse_device_query
from provision.core.parse.nvidia_text.environments import (
    is_collect_env,
    is_sglang_check_env,
    parse_collect_env,
    parse_sglang_check_env,
)
from provision.core.parse.nvidia_text.failures import is_failure, parse_failure
from provision.core.parse.nvidia_text.full_query import is_full_query, parse_full_query
from provision.core.parse.nvidia_text.json_query import is_json_query, parse_json_query
from provision.core.parse.nvidia_text.kernel_module import is_proc_version, parse_proc_version
from provision.core.parse.nvidia_text.listing import is_bare_listing, is_listing, parse_listing
from provision.core.parse.nvidia_text.table import is_table, parse_table
from provision.core.parse.nvidia_text.versions import (
    is_lone_version,
    is_module_version,
    is_smi_version,
    parse_module_version_text,
    parse_smi_version,
)
from provision.core.parse.nvidia_text.xml_query import is_xml, parse_xml_text
from provision.core.parse.source_report import TextSource

SOURCES: tuple[TextSource, ...] = (
    TextSource(kind="nvidia-smi-csv", recognise=is_csv, parse=parse_csv_text),
    TextSource(kind="nvidia-smi-xml", recognise=is_xml, parse=parse_xml_text),
    TextSource(kind="nvidia-smi-q", recognise=is_full_query, parse=parse_full_query),
    TextSource(kind="nvidia-smi-table", recognise=is_table, parse=parse_table),
    TextSource(kind="nvidia-smi-L", recognise=is_listing, parse=parse_listing),
    TextSource(kind="cuda-deviceQuery", recognise=is_device_query, parse=parse_device_query),
    TextSource(kind="collect-env", recognise=is_collect_env, parse=parse_collect_env),
    TextSource(kind="sglang-check-env", recognise=is_sglang_check_env, parse=parse_sglang_check_env),
    TextSource(kind="nvidia-smi-version", recognise=is_smi_version, parse=parse_smi_version),
    TextSource(kind="proc-driver-nvidia-version", recognise=is_proc_version, parse=parse_proc_version),
    TextSource(
        kind="sys-module-nvidia-version", recognise=is_module_version, parse=parse_module_version_text
    ),
    TextSource(kind="nvidia-smi-error", recognise=is_failure, parse=parse_failure),
)
# Values without any word that says whose they are.
LAST_RESORT: tuple[TextSource, ...] = (
    TextSource(kind="nvidia-smi-json", recognise=is_json_query, parse=parse_json_query),
    TextSource(kind="nvidia-smi-L", recognise=is_bare_listing, parse=parse_listing),
    TextSource(kind="nvidia-smi-csv", recognise=is_headless_csv, parse=parse_csv_text),
    TextSource(kind="sys-module-nvidia-version", recognise=is_lone_version, parse=parse_module_version_text),
)
