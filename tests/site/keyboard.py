"""Keys that reach the browser's own lists, and what a screen reader is told of a field.

chromedriver's keys go to the page alone: the list that a field offers is not of the page, but of the browser around it.
"""

from __future__ import annotations

from typing import Any

from tests.site.test_browser import Browser
from tests.waiting import wait_until

CODES = {"ArrowDown": 40, "ArrowUp": 38, "Enter": 13, "Escape": 27}
HEAR = "window.keys = 0; document.addEventListener('keydown', () => { window.keys += 1; }, true);"


def listen_to_keys(browser: Browser) -> None:
    """Count the keys that the page hears of."""
    browser.run(HEAR)


def write(browser: Browser, text: str) -> None:
    """Put text into the field that has the focus, at once: a list may lag behind keys that come without a pause."""
    browser.driver.execute_cdp_cmd("Input.insertText", {"text": text})


def strike(browser: Browser, key: str) -> bool:
    """Press a key; whether the browser's list took it, so that the page did not hear of it."""
    before = browser.run("return window.keys")
    code = CODES[key]
    pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code}
    for kind in ("rawKeyDown", "keyUp"):
        browser.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, **pressed})
    return bool(browser.run("return window.keys") == before)


def open_list(browser: Browser) -> None:
    """Go to the first word of the list, which comes a moment after one has written."""
    wait_until(lambda: strike(browser, "ArrowDown"), message="there is a list, and it takes an arrow")


def choose(browser: Browser, *arrows: str) -> str:
    """Open the list, go through it, and take what one stands on; the field's text then."""
    text = "return document.activeElement.value"
    before = browser.run(text)
    open_list(browser)
    for arrow in arrows:
        assert strike(browser, arrow), f"the list did not take {arrow}"

    def taken() -> bool:
        # In its first half second a list gives nothing away, lest it be taken by mistake.
        strike(browser, "Enter")
        return bool(browser.run(text) != before)

    wait_until(taken, message="Enter takes a word from the list")
    return str(browser.run(text))


def told(browser: Browser, role: str) -> dict[str, Any]:
    """What a screen reader is told of the first element of a role."""
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    node = next(node for node in nodes if node.get("role", {}).get("value") == role)
    properties = {one["name"]: one["value"].get("value") for one in node["properties"]}
    return properties | {name: node.get(name, {}).get("value") for name in ("name", "description", "value")}
