"""The browser of images in a report: its data, and the page in a real browser."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.html_pages import check_alone
from tinysegrank.reporting import Browser, Document, PanelRow, Section, packed
from tinysegrank.voc import Classes

NASTY = "<img src=x onerror=alert(1)></script>"
CLASSES = Classes(("background", "cat", NASTY, "dog"))
GREY, SHOWN = 120, 0.7  # of all photographs, and the strength of the colours at first
IOUS = {  # of the 1-best and of the choice, by image
    "b": (40.0, 90.0),
    "a": (50.0, 20.0),
    "e": (50.0, 50.0),
    "c": (70.5, 75.0),
    f"d{NASTY}": (10.0, 30.0),
}
CLASS_OF = {name: 1 + number % 3 for number, name in enumerate(IOUS)}


def rectangle(k: int, size=(60, 80)) -> np.ndarray:
    labels = np.zeros(size, np.uint8)
    labels[20:50, 10:60] = k
    return labels


def record(name: str) -> dict:
    truth, best = rectangle(CLASS_OF[name]), rectangle(3)
    truth[:4] = 255
    labels = {
        "truth": truth,
        "coarse argmax": np.array([[0, 1], [2, 3]]),
        "proposal 1": best,
        "proposal 2": truth % 255,
    }
    row = PanelRow(name, np.full((60, 80, 3), GREY, np.uint8), labels, {"proposal 2": "score 1.5"})
    first, chosen = IOUS[name]
    iou = {"1-best": first, "chosen": chosen, "oracle": 95.0}
    picks = {"1-best": "proposal 1", "chosen": "proposal 2", "oracle": "proposal 2"}
    return packed(row, iou, picks, {"proposal 1": first, "proposal 2": chosen})


def document() -> Document:
    browser = Browser([record(name) for name in IOUS], ("1-best", "chosen", "oracle"), "1-best", "chosen", CLASSES)
    return Document("A run", (), (Section("Images", browser=browser), Section("Others", ("Long. " * 500,))))


# The data ------------------------------------------------------------------------------------------------------------


def decoded(url: str) -> np.ndarray:
    kind, data = url.split(",", 1)
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize(("size", "maps"), [((30, 50), 3), ((600, 420), 2), ((384, 10), 60), ((1, 900), 4)])
def test_maps_are_those_given_sampled_at_the_centres_of_pixels(rng, size, maps):
    labels = {f"{m}": rng.integers(0, 256, size, np.uint8) for m in range(maps)}
    photograph = rng.integers(0, 256, (*size, 3), np.uint8)
    made = packed(PanelRow("a", photograph, labels), {}, {}, {})
    scale = min(1, 384 / max(size))
    height, width = expected = tuple(max(1, round(side * scale)) for side in size)
    width_made, height_made, per_column = made["size"]
    assert (height_made, width_made) == expected and decoded(made["photograph"]).shape[:2] == expected
    sheet = decoded(made["labels"])
    assert max(sheet.shape) <= 16383
    for m, given in enumerate(labels.values()):
        column, row = divmod(m, per_column)
        tile = sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]
        for y, x in [(0, 0), (height - 1, width - 1), (height // 2, width // 3)]:
            # the pixel of the large map that the middle of the small one's pixel is in
            assert (
                tile[y, x].tolist() == [given[int((y + 0.5) * size[0] / height), int((x + 0.5) * size[1] / width)]] * 3
            )
        if scale == 1:
            assert (tile[..., 0] == given).all()


def test_an_image_is_filed_under_the_objects_of_its_truth():
    assert [record(name)["classes"] for name in IOUS] == [[CLASS_OF[name]] for name in IOUS]


def test_the_page_stands_alone_and_escapes():
    text = document().to_html()
    check_alone(text)
    assert NASTY not in text
    held = json.loads(document().sections[0].browser.to_json())
    assert [image["name"] for image in held["images"]] == list(IOUS)
    assert held["classes"]["2"] == [NASTY, list(CLASSES.colours[2])] and held["classes"]["255"][0] == "void"


# The page ------------------------------------------------------------------------------------------------------------


class Page:
    """The page in a browser, with what it said and asked for."""

    def __init__(self, page, url):
        self.page, self.said, self.asked = page, [], []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(url)
        self.wait()

    def wait(self):
        """Wait until the maps are those of the chosen image."""
        self.page.wait_for_function("""() => document.querySelectorAll(".maps .map").length === 5
            && [...document.querySelectorAll(".maps canvas")].every((canvas) => canvas.width === 80)""")

    def part(self, name):
        return self.page.locator(f'[data-part="{name}"]')

    def choose(self, name, value):
        self.part(name).select_option(value)

    def name(self):
        return self.part("name").inner_text()

    def listed(self):
        return self.page.locator(".list button:visible img + span").all_inner_texts()


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with api.sync_playwright() as playwright:
        found = [path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))]
        if not found and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("Chromium is not installed: `apt install chromium` or `playwright install chromium`")
        started = playwright.chromium.launch(executable_path=found[0] if found else None)
        yield started
        started.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(document().to_html(), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def page(browser, url, request):
    context = browser.new_context(**getattr(request, "param", {"viewport": {"width": 1200, "height": 800}}))
    shown = Page(context.new_page(), url)
    yield shown
    assert shown.said == []
    assert [asked for asked in shown.asked if not asked.startswith("data:")] == [url]
    context.close()


ORDERS = {
    "gain": lambda name, of: (IOUS[name][0] - of(name), name),
    "loss": lambda name, of: (of(name) - IOUS[name][0], name),
    "low": lambda name, of: (of(name), name),
    "high": lambda name, of: (-of(name), name),
    "name": lambda name, of: name,
}


def test_sorting(page):
    for method, of in (("chosen", lambda name: IOUS[name][1]), ("oracle", lambda name: 95.0)):
        page.choose("method", method)
        for order, key in ORDERS.items():
            page.choose("order", order)
            expected = sorted(IOUS, key=lambda name, key=key, of=of: key(name, of))
            assert page.listed() == expected, order
            assert page.name() == expected[0]
    assert page.page.locator(".list button:visible").first.inner_text().splitlines()[-1] == "95.0 (+45.0)"


def test_filtering_by_class(page):
    options = page.part("class").locator("option").all_inner_texts()
    assert options == ["all (5)", "cat (2)", f"{NASTY} (2)", "dog (1)"]
    for k in (2, 3, 1):
        page.choose("class", str(k))
        wanted = {name for name in IOUS if CLASS_OF[name] == k}
        assert set(page.listed()) == wanted and page.name() in wanted
        assert page.part("place").inner_text() == f"image 1 of {len(wanted)}"
    page.choose("class", "")
    assert len(page.listed()) == 5


def test_keys(page):
    expected = sorted(IOUS, key=lambda name: IOUS[name][0] - IOUS[name][1])
    press = page.page.keyboard.press
    page.page.locator(".list button:visible").first.focus()
    for key, number in [("ArrowLeft", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)]:
        press(key)
        assert page.name() == expected[number]
    for _ in range(9):
        press("ArrowRight")
    assert page.name() == expected[-1]
    assert page.page.locator("[aria-current]").inner_text().startswith(expected[-1])
    page.part("method").focus()
    press("ArrowDown")  # of the list of methods, not of the browser
    assert page.part("method").input_value() == "oracle"
    assert page.name() == min(IOUS, key=lambda name: IOUS[name][0])  # the oracle's gain is the largest there


def test_zoom(page):
    press, zoom, caption = page.page.keyboard.press, page.part("zoom"), page.part("caption")
    first = page.name()
    page.wait()
    page.page.locator(".maps button").nth(3).focus()
    press("Enter")
    assert zoom.is_visible() and caption.inner_text() == f"{first}: proposal 1, IoU 40.0, 1-best"
    press("ArrowDown")
    assert caption.inner_text() == f"{first}: proposal 2, IoU 90.0, score 1.5, chosen, oracle"
    press("ArrowDown")  # it is the last
    assert "proposal 2" in caption.inner_text()
    canvas = page.part("view").locator("canvas")
    fitted = canvas.bounding_box()["width"]
    assert fitted >= 700
    press("+")
    larger = canvas.bounding_box()["width"]
    assert larger == pytest.approx(1.5 * fitted)
    press("-")
    assert canvas.bounding_box()["width"] == pytest.approx(fitted, rel=0.01)
    press("ArrowRight")
    page.page.wait_for_function("""() => document.querySelector("dialog p").textContent.includes("score 1.5")
        && !document.querySelector("dialog p").textContent.startsWith("b:")""")
    assert caption.inner_text().startswith(page.name()) and page.name() != first
    for _ in range(4):
        press("ArrowUp")
    shown = CLASSES.names[CLASS_OF[page.name()]]
    assert caption.inner_text() == f"{page.name()}: photograph, {shown}"
    press("Escape")
    assert not zoom.is_visible()


def test_what_is_said_of_an_image(page):
    """Names without colours: below each map, on it, and under the pointer; and what each method chose."""
    rows = page.part("methods").locator("tr").all_inner_texts()
    assert [row.split("\t") for row in rows] == [
        ["method", "chose", "IoU", "over the 1-best"],
        ["1-best", "proposal 1", "40.0", "+0.0"],
        ["chosen", "proposal 2", "90.0", "+50.0"],
        ["oracle", "proposal 2", "95.0", "+55.0"],
    ]
    texts = [[line for line in text.splitlines() if line] for text in page.page.locator(".maps .map").all_inner_texts()]
    share = round(100 * 30 * 50 / (60 * 80))
    assert texts[1][-2:] == ["truth", f"background {100 - share - 7}\u00a0%, cat {share}\u00a0%, void 7\u00a0%"]
    assert texts[3][-4:-1] == ["proposal 1", "1-best", "IoU 40.0"]
    assert texts[4][-4:-1] == ["proposal 2", "chosen, oracle", "IoU 90.0, score 1.5"]
    drawn = page.page.locator(".maps .drawn").nth(1)
    on_it = drawn.locator("span:not(.tip)")
    assert on_it.all_inner_texts() == ["cat"]
    box, name = drawn.bounding_box(), on_it.bounding_box()
    x, y = (
        (name[side] + name[length] / 2 - box[side]) / box[length] for side, length in (("x", "width"), ("y", "height"))
    )
    assert 10 / 80 < x < 60 / 80 and 20 / 60 < y < 50 / 60  # within the rectangle
    for (x, y), said in {(40, 35): "cat", (75, 35): "background", (40, 2): "void", (12, 22): "cat"}.items():
        drawn.hover(position={"x": box["width"] * x / 80, "y": box["height"] * y / 60})
        assert drawn.locator(".tip").inner_text() == said


def test_colours_are_those_of_the_classes(page):
    pixels = """([x, y]) => [...document.querySelectorAll(".maps canvas")[3].getContext("2d")
        .getImageData(x, y, 1, 1).data]"""
    painted = [SHOWN * colour + (1 - SHOWN) * GREY for colour in CLASSES.colours[3]]
    assert page.page.evaluate(pixels, [30, 30])[:3] == pytest.approx(painted, abs=3)
    assert page.page.evaluate(pixels, [70, 10])[:3] == pytest.approx([GREY] * 3, abs=3)
    assert set(page.page.evaluate(pixels, [30, 20])[:3]) in ({0}, {255})  # the edge
    page.part("opacity").fill("0")
    page.page.wait_for_function(f"({pixels})([30, 30])[0] < {GREY + 4} && ({pixels})([30, 30])[1] > {GREY - 4}")


@pytest.mark.parametrize(
    "page",
    [{"viewport": {"width": 390, "height": 844}, "color_scheme": scheme} for scheme in ("light", "dark")],
    ids=["light", "dark"],
    indirect=True,
)
def test_on_a_narrow_screen(page, request):
    inside = "document.documentElement.scrollWidth <= innerWidth"
    assert page.page.evaluate(inside)
    assert all(box.bounding_box()["width"] >= 150 for box in page.page.locator(".maps .map").all())
    dark = "dark" in request.node.callspec.id
    colours = page.page.evaluate("[document.body, document.querySelector('.list button')].map((of) =>"
                                 " [getComputedStyle(of).backgroundColor, getComputedStyle(of).color])")  # fmt: skip
    for ground, ink in colours:
        first, second = (sum(map(int, text[4:-1].split(", "))) for text in (ground, ink))
        assert (first < 150 and second > 600) if dark else (first > 600 and second < 150)
    page.page.locator(".maps button").nth(1).click()
    assert page.part("zoom").is_visible() and page.page.evaluate(inside)
    assert page.part("view").locator("canvas").bounding_box()["width"] <= 390


@pytest.mark.parametrize("page", [{"viewport": {"width": 390, "height": 844}, "has_touch": True}], indirect=True)
def test_buttons_of_the_zoom(page):
    """All that the keys do, for a telephone."""
    expected = sorted(IOUS, key=lambda name: IOUS[name][0] - IOUS[name][1])
    page.page.locator(".maps button").nth(1).tap()
    canvas, caption = page.part("view").locator("canvas"), page.part("caption")

    def tap(name):
        button = page.part("zoom").get_by_role("button", name=name)
        box = button.bounding_box()
        assert box["width"] >= 24 and box["height"] >= 24 and box["x"] + box["width"] <= 390
        button.tap()

    for name, number in [("next image", 1), ("next image", 2), ("previous image", 1)]:
        tap(name)
        page.page.wait_for_function(
            "name => document.querySelector('dialog p').textContent.startsWith(name)", arg=f"{expected[number]}: truth"
        )
    tap("next map")
    assert ": coarse argmax" in caption.inner_text()
    for _ in range(3):
        tap("previous map")  # the photograph is the first
    assert ": photograph" in caption.inner_text()
    fitted = canvas.bounding_box()["width"]
    tap("larger")
    assert canvas.bounding_box()["width"] == pytest.approx(1.5 * fitted)
    tap("larger")
    tap("smaller")
    assert canvas.bounding_box()["width"] == pytest.approx(1.5 * fitted)
    tap("fit")
    assert canvas.bounding_box()["width"] == pytest.approx(fitted)
    tap("close")
    assert not page.part("zoom").is_visible() and page.name() == expected[1]


def test_an_image_with_fewer_maps_in_the_zoom(browser, tmp_path):
    images = [record("a"), record("b")]
    images[0]["maps"] = images[0]["maps"][:3]
    images[0]["picks"]["chosen"] = images[0]["picks"]["oracle"] = "proposal 1"
    shown = Browser(images, ("1-best", "chosen"), "1-best", "chosen", CLASSES)
    (tmp_path / "report.html").write_text(Document("A run", (), (Section("Images", browser=shown),)).to_html())
    page = Page(browser.new_page(), (tmp_path / "report.html").as_uri())
    page.page.locator(".maps button").nth(4).click()
    assert page.part("caption").inner_text().startswith("b: proposal 2")
    page.page.keyboard.press("ArrowRight")
    page.page.wait_for_function("() => document.querySelector('dialog p').textContent.startsWith('a: proposal 1')")
    assert page.said == []
    page.page.close()
