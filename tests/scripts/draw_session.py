"""Draw the README's picture of a terminal session: ``python tests/scripts/draw_session.py``.

The script runs the commands and draws their output as on a terminal with colours.
``tests/test_session.py`` fails if the picture is not current.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "samples" / "session.svg"

PAIR = "samples/diabetes_preds.csv samples/diabetes_targets.csv"
COMMANDS = (
    f"lossctl compute mse,mae,huber:delta=50 {PAIR}",
    f"lossctl gradcheck samples/my_losses.py:wrong_grad {PAIR} --top 2",
)
# As wide as the longest command, so that no line is wrapped.
WIDTH = 2 + max(map(len, COMMANDS))


def ran(command: str) -> str:
    """Return the coloured output of a command, stdout and stderr in the order of writing."""
    env = {"PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}", "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=ROOT,
        env={**env, "FORCE_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return done.stdout


def drawn() -> str:
    """Return the SVG; equal output gives equal bytes."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, _environ={})
    for i, command in enumerate(COMMANDS):
        if i:
            console.print()
        console.print(Text(f"$ {command}", style="bold"), soft_wrap=True)
        console.print(Text.from_ansi(ran(command).rstrip("\n")), soft_wrap=True)
    svg = console.export_svg(title="lossctl", theme=DIMMED_MONOKAI, unique_id="session")
    # rich refers to a font on another server; remove it, so that a font of the reader is used.
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "monospace")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main() -> int:
    """Write the picture."""
    PICTURE.write_text(drawn(), encoding="utf-8")
    print(f"{PICTURE.relative_to(ROOT)} is drawn: look at it before it is committed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
