"""Takes a picture of every state of the page at four widths, to look at.

`PYTHONPATH=. python tests/browser/pictures.py` (some minutes). They go to
build/pictures; names of states as arguments take those only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.aws import aws_in_memory
from tests.browser.conftest import open_context
from tests.browser.site import running_site
from tests.browser.states import STATES, go, prepare, turn_to
from tests.conftest import running_chromium

FOLDER = Path(__file__).parents[2] / "build" / "pictures"
SIZES = {2560: 1300, 1440: 900, 768: 1024, 375: 760}


def main() -> int:
    """Write the pictures, the themes by turns."""
    os.environ |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = [state for state in STATES if not sys.argv[1:] or state.name in sys.argv[1:]]
    with aws_in_memory(), running_site() as site, running_chromium() as browser:
        page = open_context(browser, timezone_id="America/New_York").new_page()
        known = prepare(site)
        for number, state in enumerate(wanted):
            page.set_viewport_size({"width": 1440, "height": 900})
            page.emulate_media(color_scheme=("dark", "light")[number % 2])
            go(page, site, known, state)
            for width, height in SIZES.items():
                page.set_viewport_size({"width": width, "height": height})
                if width <= min(SIZES):
                    turn_to(page, state)
                page.wait_for_timeout(700)  # the chart is drawn in steps
                page.screenshot(path=FOLDER / f"{state.name}-{width}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
