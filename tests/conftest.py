"""No setting of the person who runs the tests leaks into them, nor into the processes that they start."""

from __future__ import annotations

import os

for name in (
    *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "PYTHONIOENCODING", "PYTHONUTF8"),
    *("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "LOSSCTL_FORMAT", "LOSSCTL_DEBUG"),
):
    os.environ.pop(name, None)
os.environ["TERM"] = "xterm-256color"
