"""Every text of other makers' and of generic tools that is known here; the most telling come first."""

from __future__ import annotations

from provision.core.parse import (
    amd_smi,
    apple_text,
    dxdiag_text,
    host_text,
    opencl_text,
    pci_lists,
    pci_text,
    rocm_smi,
    rocm_text,
    sycl_text,
    windows_text,
    xpu_smi,
)
from provision.core.parse.source_report import TextSource

SOURCES: tuple[TextSource, ...] = (
    *rocm_text.SOURCES,
    *amd_smi.SOURCES,
    *rocm_smi.SOURCES,
    *xpu_smi.SOURCES,
    *sycl_text.SOURCES,
    *apple_text.SOURCES,
    *windows_text.SOURCES,
    *dxdiag_text.SOURCES,
    *opencl_text.SOURCES,
    *pci_text.SOURCES,
    *pci_lists.SOURCES,
    *host_text.SOURCES,
)
