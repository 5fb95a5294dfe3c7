"""The conditions of a benchmark, with which every committed result begins."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The conditions of one run; results of benchmarks inherit from this."""

    date: str
    machine: str
    torch_threads: int
    versions: str


def conditions(*packages: str) -> Conditions:
    """The conditions of this process, with the versions of these packages."""
    return Conditions(
        date=datetime.now(UTC).date().isoformat(),
        machine=f"{os.cpu_count()} cores, {_cpu_name()}",
        torch_threads=torch.get_num_threads(),
        versions=", ".join(f"{name} {version(name)}" for name in packages),
    )


def _cpu_name() -> str:
    """The name of the CPU, from the kernel."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
