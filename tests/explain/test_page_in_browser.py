"""The page in a real browser: no errors, no network, usable by keys and by pointer."""

import shutil

import numpy as np
import pytest

from pullback import nn, optim, random
from pullback.explain import LayerRecorder, page, report
from pullback.train import Dataset, Trainer
from pullback.train.table import TablePreprocessor, Target

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
EVIL = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser is installed, none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page of ours; fail at the end where it met an error or asked the network."""
    trouble, asked, tabs = [], [], []

    def open_page(content, scheme="light"):
        tab = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
        tab.on("console", lambda m: trouble.append(m.text))
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(content.save(tmp_path / f"{len(tabs)}.html").as_uri())
        tab.wait_for_selector("footer")
        tabs.append(tab)
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert trouble == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.fixture(scope="module")
def classified():
    labels = RNG.integers(0, 3, 60)
    data = Dataset(X, labels, 3)
    model = nn.mlp(random.key(0), [4, 8, 8, 3])
    trainer = Trainer(model, "softmax_cross_entropy", optim.adam(1e-2), "accuracy", compiled=False)
    recorder = LayerRecorder(data)
    trainer.fit(data, data, epochs=3, callbacks=[recorder])
    names = TablePreprocessor("classification", (), (Target("kind", classes=("a", EVIL, "c")),))
    return report(trainer, data, layers=recorder.records, preprocessing=names, title=EVIL)


def until(tab, expression):
    """Wait until an expression holds; the page's policy forbids Playwright's own way."""
    for _ in range(200):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(20)
    raise AssertionError(f"did not come true: {expression}")


def boxes(tab):
    return int(tab.get_attribute("canvas", "data-boxes"))


def test_the_report_has_its_sections_and_runs_no_label(opened, classified):
    tab = opened(classified)
    titles = tab.locator("h2").all_inner_texts()
    assert titles == ["Learning curves", "Confusion matrix", "Layers", "Computational graph"]
    assert tab.locator("h1").inner_text() == EVIL
    assert tab.evaluate("window.hacked") is None
    assert tab.locator("#confusion rect").count() == 9
    assert EVIL[:10] in tab.locator("#confusion").inner_text()
    assert tab.locator("#layers tbody tr").count() == 5


def test_a_script_that_got_in_would_not_run(browser, classified, tmp_path):
    tab = browser.new_page()
    tab.goto(classified.save(tmp_path / "page.html").as_uri())
    refused = tab.evaluate(
        """() => new Promise(done => {
            document.addEventListener("securitypolicyviolation", e => done(e.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "window.hacked = 1";
            document.body.append(script);
        })"""
    )
    assert refused.startswith("script-src")
    assert tab.evaluate("window.hacked") is None
    tab.close()


def test_layers_fold_and_unfold_by_keys(opened, classified):
    tab = opened(classified)
    tab.focus("canvas")
    tab.locator("button", has_text="Unfold all").click()
    unfolded = boxes(tab)
    tab.focus("canvas")
    tab.keyboard.press("ArrowRight")
    chosen = tab.get_attribute("canvas", "data-chosen")
    assert chosen.startswith("n")
    tab.keyboard.press("Enter")
    assert tab.get_attribute("canvas", "data-chosen").startswith("s")
    assert boxes(tab) < unfolded
    assert "Enter opens it" in tab.locator(".inspector").inner_text()
    tab.keyboard.press("Enter")
    assert boxes(tab) == unfolded
    tab.locator("button", has_text="Fold all").first.click()
    assert boxes(tab) < unfolded


def test_arrows_follow_the_graph_and_plus_and_minus_zoom(opened):
    tab = opened(page(lambda x: np.tanh(np.sin(np.exp(x))), X))
    tab.focus("canvas")
    seen = []
    for _ in range(4):
        seen.append(tab.locator(".inspector h3").inner_text())
        tab.keyboard.press("ArrowRight")
    assert seen == ["x", "a = exp(x)", "b = sin(a)", "c = tanh(b)"]
    tab.keyboard.press("ArrowLeft")
    assert tab.locator(".inspector h3").inner_text() == "b = sin(a)"
    scale = "document.querySelector('canvas').view.view.scale"
    before = tab.evaluate(scale)
    tab.keyboard.press("+")
    assert tab.evaluate(scale) > before
    tab.keyboard.press("-")
    assert tab.evaluate(scale) == pytest.approx(before)
    tab.keyboard.press("Escape")
    assert tab.locator(".inspector").inner_text() == ""


def test_fit_shows_all_of_a_graph_that_is_wider_than_what_can_be_read(opened):
    def chain(x):
        for _ in range(12):
            x = np.tanh(x)
        return x

    tab = opened(page(chain, X))
    tab.set_viewport_size({"width": 400, "height": 700})
    shown = """() => {
        const { canvas, view, layout } = document.querySelector("canvas").view;
        return layout.width * view.scale <= canvas.clientWidth;
    }"""
    tab.reload()
    tab.wait_for_selector("footer")
    assert not tab.evaluate(shown)
    tab.locator("button", has_text="Fit").click()
    assert tab.evaluate(shown)


def test_tab_reaches_every_control(opened):
    tab = opened(page(lambda x: np.tanh(x), X))
    reached = []
    for _ in range(6):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached == ["theme", "mode-forward", "BUTTON", "BUTTON", "BUTTON", "CANVAS"]


def test_hovering_tells_shape_range_rule_and_cost(opened):
    tab = opened(page(lambda x: np.tanh(x), X))
    place = tab.evaluate(
        """() => { const v = document.querySelector("canvas").view;
            const b = v.layout.boxes.find(b => b.id === "n1"), r = v.canvas.getBoundingClientRect();
            return [r.left + v.view.x + (b.x + b.w / 2) * v.view.scale,
                    r.top + v.view.y + (b.y + b.h / 2) * v.view.scale]; }"""
    )
    tab.mouse.move(*place)
    told = tab.locator(".inspector").inner_text()
    for part in ("a = tanh(x)", "60×4 float32", "gradient", "∂x = ∂a ∘ (1 − a^∘2)", "240 FLOP"):
        assert part in told
    tab.mouse.move(5, 5)
    assert tab.locator(".inspector").inner_text() == ""


def test_dragging_pans_and_the_wheel_zooms(opened):
    tab = opened(page(lambda x: np.tanh(x), X))
    view = "Object.values(document.querySelector('canvas').view.view)"
    scale, x, y = tab.evaluate(view)
    frame = tab.locator("canvas").bounding_box()
    tab.mouse.move(frame["x"] + 50, frame["y"] + 50)
    tab.mouse.down()
    tab.mouse.move(frame["x"] + 90, frame["y"] + 70)
    tab.mouse.up()
    assert tab.evaluate(view) == [scale, x + 40, y + 20]
    tab.mouse.wheel(0, -200)
    until(tab, f"document.querySelector('canvas').view.view.scale > {scale}")


def test_the_wheel_scrolls_the_page_until_the_graph_is_chosen(opened, classified):
    tab = opened(classified)
    scale = "document.querySelector('canvas').view.view.scale"
    tab.locator("canvas").scroll_into_view_if_needed()
    before = tab.evaluate(scale)
    frame = tab.locator("canvas").bounding_box()
    tab.mouse.move(frame["x"] + 50, frame["y"] + 50)
    place = tab.evaluate("scrollY")
    tab.mouse.wheel(0, -200)
    until(tab, f"scrollY < {place}")
    assert tab.evaluate(scale) == before


def test_a_notebook_shows_the_page_in_a_frame(browser):
    tab = browser.new_page()
    tab.set_content(page(lambda x: np.tanh(x), X)._repr_html_())
    frame = tab.frame_locator("iframe")
    frame.locator("footer").wait_for()
    assert frame.locator("h1").inner_text() == "a function"
    assert int(frame.locator("canvas").get_attribute("data-boxes")) == 2
    tab.close()


def test_the_theme_follows_the_system_and_the_switch(opened, classified):
    shade = "getComputedStyle(document.body).backgroundColor"
    tab = opened(classified, scheme="dark")
    dark = tab.evaluate(shade)
    tab.click("#theme")
    light = tab.evaluate(shade)
    assert (dark, light) == ("rgb(17, 22, 28)", "rgb(255, 255, 255)")
    assert opened(classified).evaluate(shade) == light


def test_the_gradient_is_a_view_of_its_own(opened, classified):
    tab = opened(classified)
    pixels = "document.querySelector('canvas').toDataURL()"
    until(tab, "document.querySelector('canvas').view.colours")
    before = tab.evaluate(pixels)
    tab.locator("label", has_text="Gradient").click()
    until(tab, "!document.querySelector('canvas').view.asked")
    assert tab.evaluate(pixels) != before
    assert "‖gradient‖" in tab.locator(".legend").inner_text()


def test_a_layer_is_chosen_by_keys(opened, classified):
    tab = opened(classified)
    tab.locator("#layers tbody tr").first.focus()
    assert tab.locator("#layers .four svg").count() == 4
    tab.keyboard.press("ArrowDown")
    assert tab.locator("#layers tbody tr").nth(1).get_attribute("aria-selected") == "true"
    assert tab.locator("#layers .four svg").count() == 2  # an activation has no weights


def test_boxes_side_by_side_do_not_overlap(opened):
    blocks = [nn.TransformerBlock.create(random.key(i), 8, heads=2) for i in range(2)]
    x = np.ones((2, 3, 8), np.float32)
    tab = opened(page(lambda model, x: np.mean(model(x)), nn.Sequential(blocks), x))
    tab.locator("button", has_text="Unfold all").click()
    overlaps = tab.evaluate(
        """() => { const { layout } = document.querySelector("canvas").view;
            const beside = (a, b) => a.x + a.w <= b.x || a.y + a.h <= b.y;
            const within = (a, b) => a.x >= b.x && a.y >= b.y
                && a.x + a.w <= b.x + b.w && a.y + a.h <= b.y + b.h;
            const wrong = [];
            for (const a of layout.boxes) {
                if (a.outer.id !== "root" && !within(a, a.outer)) wrong.push([a.id, a.outer.id]);
                for (const b of layout.boxes) {
                    if (a === b || a.outer !== b.outer) continue;
                    if (!beside(a, b) && !beside(b, a)) wrong.push([a.id, b.id]);
                }
            }
            return wrong; }"""
    )
    assert overlaps == []
    backwards = tab.evaluate(
        """document.querySelector("canvas").view.layout.edges
            .filter(e => e.from.x + e.from.w > e.to.x).length"""
    )
    assert backwards == 0


def test_two_thousand_nodes_are_drawn_in_parts(opened):
    def chain(x):
        for _ in range(1000):
            x = np.tanh(np.sin(x))
        return x

    tab = opened(page(chain, X[:2, :2]))
    assert boxes(tab) == 2001
    drawn = tab.evaluate(
        """() => { const v = document.querySelector("canvas").view; let count = 0;
            const fill = v.context.fillText.bind(v.context);
            v.context.fillText = (...a) => { count += 1; fill(...a); };
            v.draw(); return count; }"""
    )
    assert 0 < drawn < 200  # only what is in sight
