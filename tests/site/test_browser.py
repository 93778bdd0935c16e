"""The site in a real browser: Chromium, driven as a person uses it, with and without JavaScript."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.site.drawing import noise, picture
from tests.site.house import House
from tests.waiting import START, wait_until

webdriver = pytest.importorskip(
    "selenium.webdriver", reason="the package selenium is not installed: pip install selenium"
)

StaleElementReferenceException = pytest.importorskip("selenium.common.exceptions").StaleElementReferenceException

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="no browser: apt-get install chromium chromium-driver (or brew, or a vendor's)",
    ),
    # urllib3 under selenium leaves its idle sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

# The last ones keep the browser from asking its maker's hosts, which a closed network refuses many times a second.
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps"),
)
PHONE, DESK = (390, 844), (1280, 900)  # pixels


class Browser:
    """One window, in the words of the tests."""

    def __init__(self, site: House, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.site = site
        self.driver: Any = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        self.resize(DESK)

    def resize(self, size: tuple[int, int]) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def without_javascript(self) -> None:
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})

    def open(self, address: str = "/") -> None:
        self.driver.get(self.site.address + address)

    def all(self, selector: str) -> list[Any]:
        found: list[Any] = self.driver.find_elements("css selector", selector)
        return found

    def one(self, selector: str) -> Any:
        return wait_until(lambda: self.all(selector), message=f"{selector} is on the page")[0]

    def text(self, selector: str) -> str:
        """What is read there, in one look: the page may change between two."""
        self.one(selector)
        return str(self.run("return document.querySelector(arguments[0])?.innerText.trim() ?? ''", selector))

    def is_shown(self, selector: str) -> bool:
        return bool(self.run("return document.querySelector(arguments[0])?.checkVisibility() ?? false", selector))

    def click(self, selector: str) -> None:
        """Click as soon as it can be clicked; what is renewed at this very moment is looked for again."""

        def clicked() -> bool:
            try:
                self.one(selector).click()
            except StaleElementReferenceException:
                return False
            return True

        wait_until(clicked, message=f"{selector} was clicked")

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def choose(self, *paths: Path) -> None:
        self.one("#upload-files").send_keys("\n".join(map(str, paths)))

    def wait_for_live(self) -> None:
        wait_until(lambda: self.text("[data-signal]") == "Live", message="the page is live")

    def wait_for_states(self, expected: dict[str, str], timeout: float = START) -> None:
        """Wait until the cards have these titles and states, without a reload."""

        def states() -> dict[str, str]:
            rows = "[...document.querySelectorAll('[data-row]')]"
            found = self.run(f"return {rows}.map(row => [row.dataset.title, row.dataset.state])")
            return {str(title): str(state) for title, state in found}

        wait_until(lambda: states() == expected, timeout=timeout, message=f"the cards are {expected}")

    def problems(self) -> list[str]:
        """What the browser complained about."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def window(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(house, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(site: House, window: Browser) -> Iterator[Browser]:
    window.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    window.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    window.resize(DESK)
    yield window
    window.driver.get("about:blank")


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., Path]:
    """A picture in a file, to be chosen."""

    def write(name: str, data: bytes | None = None) -> Path:
        path = tmp_path / name
        path.write_bytes(picture((900, 600)) if data is None else data)
        return path

    return write


def test_chosen_photos_appear_and_become_done_while_one_watches(browser, site, photo):
    site.start_worker()
    browser.open()
    assert "Nothing here yet." in browser.text(".empty")
    browser.run("window.neverReloaded = true")
    browser.choose(photo("coast.jpg"), photo("notes.txt", b"hello"), photo("torn.jpg", noise()[:-60_000]))
    browser.wait_for_states({"Coast": "done", "Torn": "failed"})
    said = browser.text("[data-upload-outcome]")
    assert "2 photos uploaded." in said
    assert "notes.txt is not a picture." in said
    assert not browser.is_shown(".empty")
    wait_until(lambda: browser.run("return document.querySelector('.card img').naturalWidth") in (320, 800, 900))
    assert browser.run("return window.neverReloaded") is True
    assert browser.problems() == []


def test_what_changes_is_read_out(browser, site, photo):
    site.start_worker()
    browser.open()
    browser.wait_for_live()
    browser.choose(photo("coast.jpg"))
    wait_until(lambda: browser.run("return document.querySelector('[data-announcer]').textContent") == "Coast: done")
    assert browser.one("[data-announcer]").get_attribute("aria-live") == "polite"
    assert browser.one("[data-upload-outcome]").get_attribute("role") == "status"


def test_a_photo_may_be_dropped_on_the_page(browser):
    browser.open()
    browser.run("""
        const done = new OffscreenCanvas(60, 40);
        done.getContext("2d").fillRect(0, 0, 60, 40);
        done.convertToBlob({type: "image/png"}).then((blob) => {
            const files = new DataTransfer();
            files.items.add(new File([blob], "dropped here.png", {type: "image/png"}));
            for (const type of ["dragenter", "dragover", "drop"])
                document.querySelector("h1").dispatchEvent(
                    new DragEvent(type, {dataTransfer: files, bubbles: true, cancelable: true}));
        });
    """)
    browser.wait_for_states({"Dropped here": "waiting"})
    assert not browser.all(".drop--over")


def test_a_file_that_is_too_large_is_not_even_sent(browser, site, photo):
    browser.open()
    browser.choose(photo("huge.jpg", b"\xff\xd8\xff" + b"\0" * (25 * 2**20)))
    wait_until(lambda: "huge.jpg is larger than the 25 MB taken here." in browser.text("[data-upload-outcome]"))
    assert site.count_everything()["photos"] == 0


def test_two_windows_show_the_same_and_a_photo_deleted_in_one_leaves_the_other(browser, site, photo):
    browser.open()
    browser.choose(photo("coast.jpg"))
    browser.wait_for_states({"Coast": "waiting"})
    first = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    try:
        browser.open()
        browser.click(".card a")
        assert browser.text("h1") == "Coast"
        browser.click(".danger button")
        wait_until(lambda: browser.text("h1") == "Photos")
    finally:
        browser.driver.close()
        browser.driver.switch_to.window(first)
    browser.wait_for_states({})
    assert browser.is_shown(".empty")


def test_a_photos_own_page_is_live_and_can_try_again(browser, site, photo):
    site.start_worker()
    data = noise()
    browser.open()
    browser.choose(photo("torn.jpg", data[:-60_000]))
    browser.wait_for_states({"Torn": "failed"})
    browser.click(".card a")
    browser.wait_for_live()
    assert "The picture is damaged" in browser.text("[data-part=steps]")
    (site.folder_of(1) / "original.jpeg").write_bytes(data)
    browser.click("button[form=again]")
    browser.wait_for_states({"Torn": "done"})
    wait_until(lambda: not browser.all("button[form=again]"), message="there is nothing to try again")
    assert browser.problems() == []


def test_the_keyboard_reaches_everything_in_order(browser, site, photo):
    browser.open()
    browser.choose(photo("coast.jpg"))
    browser.wait_for_states({"Coast": "waiting"})
    browser.open()
    reached = []
    for _ in range(7):
        browser.press("\ue004")  # Tab
        reached.append(browser.run("const e = document.activeElement; return e.id || e.textContent.trim()"))
    assert reached == ["Skip to the content", "Darkroom", "Photos", "Reports", "Queue", "upload-files", "card-link-1"]
    outline = browser.run("return getComputedStyle(document.querySelector('.card')).outlineStyle")
    assert outline == "solid"
    browser.press("\ue007")  # Enter
    wait_until(lambda: browser.text("h1") == "Coast")


COUNT_NEWS = """
window.heard = 0;
const address = new URL(document.querySelector("[data-live]").dataset.live, location.href);
address.searchParams.set("new", "1");
new EventSource(address).addEventListener("row", () => { window.heard += 1; });
"""
"""Counts what the page is told, by a stream beside its own."""


def test_nothing_moves_while_something_is_pressed(browser, site, photo):
    browser.open()
    browser.choose(photo("coast.jpg"))
    browser.wait_for_states({"Coast": "waiting"})
    browser.open()
    browser.wait_for_live()
    browser.run(COUNT_NEWS)
    mouse = webdriver.ActionChains(browser.driver)

    def upload_and_be_told(name: str) -> None:
        heard = browser.run("return window.heard")
        site.visitor.upload([photo(name)])
        wait_until(lambda: browser.run("return window.heard") > heard, message="the other stream hears")

    upload_and_be_told("first.jpg")
    browser.wait_for_states({"First": "waiting", "Coast": "waiting"})
    mouse.click_and_hold(browser.one("h1")).perform()
    # The page's own stream has brought the one before, when the other one brings the next.
    upload_and_be_told("second.jpg")
    upload_and_be_told("third.jpg")
    assert len(browser.all(".card")) == 2
    mouse.release().perform()
    browser.wait_for_states(dict.fromkeys(("Third", "Second", "First", "Coast"), "waiting"))
    mouse.click_and_hold(browser.one("#card-link-1")).perform()
    upload_and_be_told("fourth.jpg")
    upload_and_be_told("fifth.jpg")
    mouse.release().perform()
    wait_until(lambda: browser.text("h1") == "Coast", message="the link was followed")


def test_focus_stays_where_it_is_when_its_part_of_the_page_changes(browser, site, photo):
    browser.open()
    browser.choose(photo("coast.jpg"))
    browser.wait_for_states({"Coast": "waiting"})
    browser.open("/photos/1/")
    browser.wait_for_live()
    browser.run("document.getElementById('steps').focus()")
    site.db.execute("update photos_step set state = 'retrying', reason = 'a disk is away' where name = '320.webp'")
    wait_until(lambda: "a disk is away" in browser.text("#steps"))
    assert browser.run("return document.activeElement.id") == "steps"


BROKEN = """
const lines = (element) => {
  const range = document.createRange();
  range.selectNodeContents(element);
  return new Set([...range.getClientRects()].map((box) => box.top)).size;
};
return [...document.querySelectorAll("header .brand span, header nav a")]
  .filter((name) => lines(name) > 1).map((name) => name.textContent);
"""


@pytest.mark.parametrize("address", ["/", "/photos/1/", "/reports/"])
@pytest.mark.parametrize("size", [PHONE, DESK, (320, 640)], ids=["phone", "desk", "small phone"])
def test_no_page_is_wider_than_its_window(browser, site, photo, address, size):
    browser.open()
    browser.choose(photo("a-rather-long-name-of-a-photo-that-somebody-took-on-a-long-holiday.jpg"), photo("b.jpg"))
    wait_until(lambda: len(browser.all(".card")) == 2)
    browser.resize(size)
    browser.open(address)
    assert browser.run("return document.documentElement.scrollWidth") <= size[0]
    assert browser.run(BROKEN) == [], "a name in the header is broken in the middle"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ["/", "/photos/1/", "/reports/"])
def test_every_text_can_be_read_against_its_background(browser, site, photo, scheme, address):
    """WCAG's contrast of 4.5, for every element that has text of its own."""
    site.start_worker()
    browser.open()
    browser.choose(photo("coast.jpg"), photo("torn.jpg", noise()[:-60_000]), photo("notes.txt", b"hello"))
    browser.wait_for_states({"Coast": "done", "Torn": "failed"})
    browser.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    if address != "/":
        browser.open(address)
    assert browser.run(Path(__file__).with_name("contrast.js").read_text()) == []


def test_without_javascript_the_form_works(browser, site, photo):
    browser.without_javascript()
    browser.open()
    browser.choose(photo("coast.jpg"), photo("notes.txt", b"hello"))
    browser.click("button.drop__send")
    wait_until(lambda: "1 file not taken" in browser.text(".outcome"))
    assert "Reload the page" in browser.text("noscript")
    site.start_worker()
    site.wait_until_done([1])
    browser.open()
    assert browser.text(".card .state") == "Done"


def test_those_who_want_no_movement_get_none(browser, site, photo):
    browser.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    )
    browser.open()
    browser.choose(photo("coast.jpg"))
    browser.wait_for_states({"Coast": "waiting"})
    assert browser.run("return document.getAnimations().length") == 0


def test_a_server_that_goes_away_and_comes_back_is_noticed(browser, site, photo):
    browser.open()
    browser.wait_for_live()
    site.db.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'site_app live' and datname = current_database()"
    )
    browser.choose(photo("coast.jpg"))
    browser.wait_for_states({"Coast": "waiting"})
