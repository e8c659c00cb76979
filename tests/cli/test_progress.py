"""The progress line: whole figures at every width of the terminal."""

import io

import pytest
from rich.console import Console

from pullback.cli.progress import ProgressDisplay

ROW = {
    "epoch": 2,
    "train_loss": 0.5,
    "validation_loss": 0.6,
    "validation_accuracy": 0.7,
    "samples_per_second": 123456.0,
}


def shown(width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    display = ProgressDisplay(console, "accuracy")
    display.on_train_begin(None, 1, 20, 1000)
    for epoch in (1, 2):
        display.on_epoch_end(None, {**ROW, "epoch": epoch})
    display.stop()
    with console.capture() as capture:
        console.print(display.bar)
    return capture.get().rstrip()


@pytest.mark.parametrize("width", [45, 60, 70, 80, 96, 120, 200])
def test_a_terminal_of_any_width_shows_whole_figures_in_one_line(width):
    line = shown(width)
    assert line.startswith("epoch 3/20")
    assert "ETA" in line
    assert "…" not in line
    assert len(line) <= width


def test_a_full_bar_looks_full_where_there_are_16_colours():
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system="standard")
    display = ProgressDisplay(console, "accuracy")
    display.on_train_begin(None, 1, 2, 1000)
    display.on_epoch_end(None, {**ROW, "epoch": 2})
    display.stop()
    empty, full = "\x1b[90m━━━━━━\x1b[0m", "\x1b[32m━━━━━━\x1b[0m"
    assert file.getvalue().startswith("\x1b[?25lepoch 1/2 " + empty)
    assert file.getvalue().rpartition("epoch 2/2 ")[2].startswith(full)


def test_a_narrow_terminal_drops_the_held_out_loss_first():
    assert "val 0.6000" in shown(120)
    assert "val" not in shown(80)
    assert "accuracy 0.7000" in shown(80)
    assert "123,456 samples/s" in shown(80)
