"""How smoothly the graph page pans and zooms with 2,000 nodes, all of them in sight or a few.

    python benchmarks/graph_page.py

It needs playwright and a Chromium. Milliseconds; a frame at 60 Hz is 16.7.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from pullback import nn, random
from pullback.explain import Page, page

FRAMES = 60
MEASURE = """async ([kind, count]) => {
    const view = document.querySelector("canvas").view, { canvas, layout } = view;
    const whole = Math.min(canvas.clientWidth / layout.width, canvas.clientHeight / layout.height);
    view.setMode(kind === "gradient, all" ? "gradient" : "forward");
    view.view = { scale: kind === "pan, close" ? 1 : whole, x: 0, y: 0 };
    const steps = { zoom: i => view.zoom(i < count / 2 ? 1.1 : 1 / 1.1) };
    const step = steps[kind] || (() => { view.view.x -= 5; });
    const scripts = [], frames = [];
    let last = 0;
    for (let i = 0; i < count; i++) {
        await new Promise(done => requestAnimationFrame(now => {
            if (last) frames.push(now - last);
            last = now;
            const start = performance.now();
            step(i);
            view.draw();
            scripts.push(performance.now() - start);
            done();
        }));
    }
    const median = x => x.sort((a, b) => a - b)[Math.floor(x.length / 2)];
    return [median(scripts), median(frames)];
}"""


def pages() -> dict[str, Page]:
    """Return one graph without layers, and one with many."""

    def chain(x: object) -> object:
        for _ in range(1000):
            x = np.tanh(np.sin(x))  # type: ignore[call-overload]
        return x

    blocks = [nn.TransformerBlock.create(random.key(i), 16, heads=2) for i in range(26)]
    x = np.ones((2, 6, 16), np.float32)
    return {
        "a chain": page(chain, np.ones((4, 4))),
        "26 transformer blocks": page(lambda model, x: model(x), nn.Sequential(blocks), x),
    }


def main() -> None:
    """Print the medians."""
    path = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, content in pages().items():
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(content.save(Path(folder) / "page.html").as_uri())
            tab.evaluate("document.querySelector('canvas').view.foldAll(false)")
            print(f"{name}: {tab.get_attribute('canvas', 'data-boxes')} nodes")
            for kind in ("pan, all", "gradient, all", "zoom", "pan, close"):
                script, frame = tab.evaluate(MEASURE, [kind, FRAMES])
                print(f"  {kind:<14} script {script:5.1f} ms   frame {frame:5.1f} ms")
        browser.close()


if __name__ == "__main__":
    main()
