"""How much a program in the sandbox may take."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one program. ``cpu`` and ``wall`` are seconds (of computing, of each process; of the clock, for all), sizes
    are bytes.
    """

    wall: float = 20.0
    cpu: int = 5
    memory: int = 1024 * MIB
    """Address space of each process, and resident memory of all of them together."""
    address_space: bool = True
    """Whether ``memory`` bounds address space too: runtimes that reserve much more than they use (Node, Java) do not
    start under it."""
    processes: int = 32
    """Processes and threads at a time."""
    file_size: int = 16 * MIB
    disk: int = 64 * MIB
    """All files together; they lie in memory and are gone at the end."""
    open_files: int = 128
    output: int = 64 * 1024
    """What is kept of each of standard output and standard error; a program that writes 64 times as much is ended."""

    def inside(self) -> dict[str, int | None]:
        """What the program's first process sets of itself before it becomes the program."""
        return {
            "cpu": self.cpu,
            "memory": self.memory if self.address_space else None,
            "processes": self.processes,
            "file_size": self.file_size,
            "open_files": self.open_files,
        }
