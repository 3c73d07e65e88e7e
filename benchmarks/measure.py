"""Measurements: CPU seconds, wall time and peak private memory of commands, and the tables that report them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
_SAMPLE_S = 0.005


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run of a command took.

    Attributes:
        wall_s: From start to end.
        cpu_s: User and system time, in all threads.
        peak_bytes: Largest anonymous memory seen in `/proc/PID/status`, sampled every 5 ms: what the process allocated,
            without the files that it mapped.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int


def environment(num_threads: int = 1) -> dict[str, str]:
    """This process's environment with so many threads for every library, and no network."""
    return {**os.environ, **dict.fromkeys(_THREADS, str(num_threads)), "HF_HUB_OFFLINE": "1"}


def run(command: Sequence[str], log: Path, num_threads: int = 1) -> Usage:
    """Run a command to its end and measure it; its output goes to `log`.

    Raises:
        RuntimeError: If it fails.
    """
    with log.open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment(num_threads), stdout=out, stderr=subprocess.STDOUT)
        peak_bytes = 0
        while True:
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            peak_bytes = max(peak_bytes, anonymous_bytes(process.pid))
            time.sleep(_SAMPLE_S)
        wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with {process.returncode}; see {log}")
    return Usage(wall_s, used.ru_utime + used.ru_stime, peak_bytes)


def anonymous_bytes(pid: int | str = "self") -> int:
    """Anonymous memory of a process now; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(lines[0][1]) * 1024 if lines else 0


def least_of(usages: Sequence[Usage]) -> Usage:
    """The least times, which others on the machine disturbed least; the largest peak."""
    return Usage(
        min(usage.wall_s for usage in usages),
        min(usage.cpu_s for usage in usages),
        max(usage.peak_bytes for usage in usages),
    )


def heading(title: str, packages: Sequence[str] = ("torch", "safetensors", "numpy")) -> str:
    """What a reader must know to run it again: command, date, machine, versions."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    command = " ".join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]])
    machine = f"{_processor()}, {os.cpu_count()} CPUs, {_memory_bytes() / 2**30:.0f} GiB, load at start {load}"
    software = f"Python {platform.python_version()}, {versions}"
    return f"# {title}\n\n{date.today().isoformat()} · {machine} · {software}\n\n`{command}`\n"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; floats get three digits."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return str(value)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
