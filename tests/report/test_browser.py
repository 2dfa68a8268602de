"""HTML pages in Chromium: no errors, tables that sort, a light and a dark scheme, a print.

Needs Chromium with ChromeDriver (on Debian ``apt-get install chromium chromium-driver``) and
``pip install -e '.[browser]'``.
"""

from __future__ import annotations

import base64
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lossctl.cli.app import main

pytestmark = pytest.mark.browser
PAIR = "samples/diabetes_preds.csv samples/diabetes_targets.csv"
COMMANDS = [
    f"compute mse,rmse,mae {PAIR}",
    "breakdown huber samples/diabetes.csv -p ridge -t target --by group",
    "compare mse,mae samples/diabetes.csv -p ridge -p forest -t target",
    f"gradcheck samples/my_losses.py:wrong_grad {PAIR}",
    f"explain 53.90 {PAIR}",
    "plot mse,huber",
]
# As root Chromium needs --no-sandbox; the others keep it from asking the network at its start.
ARGUMENTS = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Chromium once."""
    selenium = pytest.importorskip("selenium.webdriver")
    driver, binary = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or binary is None:
        pytest.skip("chromium or chromedriver is not installed")
    options = selenium.ChromeOptions()
    options.binary_location = binary
    for argument in ARGUMENTS.split():
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = selenium.Chrome(options, selenium.ChromeService(driver))
    yield chrome
    chrome.quit()


@pytest.fixture
def load(browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs a command with ``-f html`` and opens its page."""
    monkeypatch.chdir(Path(__file__).parents[2])

    def run(line: str) -> Any:
        assert main([*shlex.split(line), "-f", "html"]) in (0, 1)
        page = tmp_path / "page.html"
        page.write_text(capsys.readouterr().out, encoding="utf-8")
        for log in ("browser", "performance"):  # entries of the last page
            browser.get_log(log)
        browser.get(page.as_uri())
        return browser

    return run


@pytest.mark.parametrize("line", COMMANDS)
def test_a_page_has_no_errors_and_asks_for_nothing(line: str, load: Any) -> None:
    page = load(line)
    assert page.get_log("browser") == []
    requests = [e["message"] for e in page.get_log("performance") if '"Network.requestWillBeSent"' in e["message"]]
    assert len(requests) == 1  # the page itself
    assert page.title.endswith("· lossctl")
    assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_a_click_sorts_a_table_by_numbers(load: Any) -> None:
    page = load("breakdown huber samples/diabetes.csv -p ridge -t target --top 5")
    (table,) = (t for t in page.find_elements("css selector", "div table") if "target" in t.text)
    heads = [head.text for head in table.find_elements("css selector", "th")]
    column = heads.index("target")

    def values() -> list[float]:
        cells = table.find_elements("css selector", f"tbody td:nth-child({column + 1})")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    before, button = values(), table.find_elements("css selector", "th button")[column]
    assert len(before) == 5
    assert before not in (sorted(before), sorted(before, reverse=True))
    button.click()
    assert values() == sorted(before)
    button.click()
    assert values() == sorted(before, reverse=True)
    assert page.get_log("browser") == []


def test_a_page_has_a_light_and_a_dark_scheme(load: Any) -> None:
    page, colours = load(COMMANDS[0]), []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        script = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
        colours.append(page.execute_script(script))
    assert colours == [["rgb(27, 27, 27)", "rgb(255, 255, 255)"], ["rgb(230, 230, 230)", "rgb(22, 22, 22)"]]


def test_a_page_can_be_printed(load: Any) -> None:
    page = load(COMMANDS[1])
    pdf = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF-")
