"""How containers and WSL get a GPU and memory, and how a GPU is shared; each row with its source and date."""

from __future__ import annotations

from provision.core.cure_kinds import (
    CONTAINERS,
    IN_POWERSHELL,
    ON_HOST,
    WSL_GUIDE,
    Cure,
    CureKind,
    System,
    everywhere,
)

_CONTAINER_GUIDE = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest"
_MIG_GUIDE = "https://docs.nvidia.com/datacenter/tesla/mig-user-guide/"
SHARING_CURES: dict[CureKind, dict[System, Cure]] = {
    CureKind.CONTAINER_GPU: {
        System.DOCKER: Cure(
            "docker run --gpus all …   # on the host; once before: "
            "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",
            f"docker run --help, {_CONTAINER_GUIDE}/install-guide.html",
        ),
        System.PODMAN: Cure(
            "podman run --device nvidia.com/gpu=all …   # on the host; once before: "
            "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
            f"{_CONTAINER_GUIDE}/cdi-support.html",
        ),
        System.KUBERNETES: Cure(
            "ask for the GPU in the pod: resources: {{limits: {{nvidia.com/gpu: 1}}}}",
            "https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/",
        ),
        System.APPTAINER: Cure(
            "apptainer exec --nv IMAGE COMMAND   # on the host",
            "https://man.archlinux.org/man/apptainer-exec.1.en",
        ),
        System.LXC: Cure(
            "give the container a device of type gpu on the host, as in "
            "https://canonical.com/lxd/docs/default/reference/devices_gpu/",
            "https://canonical.com/lxd/docs/default/reference/devices_gpu/",
        ),
    },
    CureKind.SHARED_MEMORY: {
        System.DOCKER: Cure("docker run --shm-size=8g …   # or --ipc=host; on the host", "docker run --help"),
        System.PODMAN: Cure(
            "podman run --shm-size=8g …   # or --ipc=host; on the host",
            "https://docs.podman.io/en/latest/markdown/podman-run.1.html",
        ),
        System.KUBERNETES: Cure(
            "mount an emptyDir with medium: Memory at /dev/shm in the pod",
            "https://kubernetes.io/docs/concepts/storage/volumes/#emptydir",
        ),
        System.LINUX: Cure("{sudo}mount -o remount,size=8G /dev/shm", "man 5 tmpfs"),
    },
    CureKind.WSL_VERSION: {
        System.WSL: Cure(
            f"wsl --set-version {{distribution}} 2   {IN_POWERSHELL}",
            "https://learn.microsoft.com/windows/wsl/basic-commands",
        ),
    },
    # apt refuses a pattern that fits no package it knows, so these are Ubuntu's own names.
    CureKind.WSL_DRIVER_INSIDE: {
        System.UBUNTU: Cure(
            "{sudo}apt purge '^nvidia-driver-.*' '^nvidia-dkms-.*' '^nvidia-utils-.*' '^libnvidia-compute-.*'   "
            f"# in WSL; then: wsl --shutdown {IN_POWERSHELL[2:]}",
            f"{WSL_GUIDE} (no Linux driver inside WSL)",
        ),
        System.LINUX: Cure(
            f"remove the packages of NVIDIA's driver inside WSL; then: wsl --shutdown {IN_POWERSHELL[2:]}",
            f"{WSL_GUIDE} (no Linux driver inside WSL)",
        ),
    },
    CureKind.MIG_INSTANCE: {
        System.LINUX: Cure(
            "{sudo}nvidia-smi mig -lgip   # lists profiles; then with the ID of one: "
            "{sudo}nvidia-smi mig -cgi ID -C; or leave MIG: {sudo}nvidia-smi -mig 0",
            f"{_MIG_GUIDE}, https://linuxcommandlibrary.com/man/nvidia-smi-mig",
        ),
    }
    | everywhere(
        CONTAINERS,
        f"{ON_HOST}sudo nvidia-smi mig -lgip, then with the ID of a profile: sudo nvidia-smi mig -cgi ID -C",
        _MIG_GUIDE,
    ),
    CureKind.GPU_PROCESSES: everywhere(
        (System.LINUX, System.WINDOWS, System.WSL, *CONTAINERS),
        "nvidia-smi --query-compute-apps=pid,process_name,used_memory --format=csv",
        "nvidia-smi --help-query-compute-apps",
    ),
}
