"""Sessions of the documentation: ```console blocks are run by a shell, and what they show compared.

`$ line` is typed, the lines below it are its output, where `...` stands for anything. A last line
`[6]` is the exit code that is expected instead of 0.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
EXIT_CODE = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    line: str
    output: str
    code: int


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [textwrap.dedent(found[3]) for found in BLOCK.finditer(text) if found[2] == language]


def commands(block: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _newline, shown = part.partition("\n")
        rows = shown.splitlines()
        code = EXIT_CODE.fullmatch(rows[-1]) if rows else None
        if code is not None:
            rows.pop()
        yield Command(line=line, output="\n".join(rows), code=int(code[1]) if code else 0)


def fits(shown: str, printed: str) -> bool:
    """Whether what was printed is what is shown, `...` standing for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.rstrip().split("..."))
    return re.fullmatch(pattern, printed.rstrip(), re.DOTALL) is not None


class Shell:
    """Runs commands in one folder, with a home, state folder and language of its own."""

    def __init__(self, folder: Path, language: str) -> None:
        self._folder = folder
        programs = Path(sys.executable).parent
        self._environ = {
            **os.environ, "HOME": str(folder.parent / "home"), "HOLDFAST_LANG": language,
            "HOLDFAST_STATE": str(folder.parent / "state"), "PATH": f"{programs}:{os.environ['PATH']}",
        }

    def run(self, command: Command) -> tuple[int, str]:
        """(exit code, what was printed)."""
        done = subprocess.run(
            ["bash", "-c", command.line], cwd=self._folder, env=self._environ, timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )
        return done.returncode, done.stdout.decode()


def walk(page: Path, folder: Path, language: str) -> list[str]:
    """Run every session of a page in turn; returns what differs."""
    shell = Shell(folder, language)
    different = []
    for block in blocks(page, "console"):
        for command in commands(block):
            code, printed = shell.run(command)
            if code != command.code or not fits(command.output, printed):
                different.append(f"$ {command.line}\n{printed}[{code}]")
    return different
