"""A headless browser that opens a page and runs a script in it."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FIRST = """<script>
const problems = [];
addEventListener("error", (event) => problems.push(String(event.message)));
addEventListener("unhandledrejection", (event) => problems.push(String(event.reason)));
console.error = console.warn = (...words) => problems.push(words.join(" "));
window.alert = (text) => problems.push(`alert ${text}`);
</script>"""
LAST = """<script>
addEventListener("load", () => {
  let found;
  try { found = (() => { %s })(); } catch (error) { problems.push(String(error)); }
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = JSON.stringify({ found, problems });
  document.body.append(result);
});
</script>"""


def find_browser() -> str | None:
    """Return the path of a browser of the Chromium family; None if there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def run_in_page(page: Path, script: str, width: int = 1200, *, dark: bool = False, scripts: bool = True) -> Any:
    """Return what a script returns in a copy of a page that a browser has loaded.

    Args:
        page: the file of the page.
        script: the body of a function.
        width: the width of the window in pixels.
        dark: whether the browser prefers dark pages.
        scripts: whether the scripts of the page itself run.
    """
    text = page.read_text(encoding="utf-8")
    if not scripts:
        text = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    text = text.replace("<head>", f"<head>{FIRST}", 1).replace("</body>", LAST % script + "</body>", 1)
    copy = page.with_name("page_in_browser.html")
    copy.write_text(text, encoding="utf-8")
    browser = find_browser()
    assert browser is not None
    profile = page.with_name("browser_profile")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}"]
    # Chromium's names of the schemes: dark and light.
    options += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--window-size={width},1000"]
    command = [browser, *options, "--virtual-time-budget=2000", "--dump-dom", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    assert found is not None, done.stderr
    result = json.loads(html.unescape(found[1]))
    assert result["problems"] == [], result["problems"]
    return result["found"]
