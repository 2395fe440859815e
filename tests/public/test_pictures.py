"""The pictures of the benchmarks say what they show, and what their tables say."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("matplotlib.figure", reason="the pictures are drawn with matplotlib")
pytest.importorskip("cpuinfo", reason="it comes with pytest-benchmark")

from bench import plots, report, scaling

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
ABOUT = "Intel(R) Xeon(R) Processor, 2 threads, float32 unless said"


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, in place of closing them."""
    figures = []
    monkeypatch.setattr(plots.plt, "close", figures.append)
    yield figures
    monkeypatch.undo()
    for figure in figures:
        plots.plt.close(figure)


def words_right_of(axes):
    return [label.get_text() for label in axes.child_axes[0].get_yticklabels()]


def heading(figure):
    return figure.legends[0].get_title().get_text()


def assert_fits(figure):
    """Every word lies within the picture, and no tick's label on the one above it."""
    figure.canvas.draw()
    for axes in [a for a in figure.axes if a.get_visible()]:
        texts = (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)
        for text in (text for text in texts if text.get_text()):
            box = text.get_window_extent()
            assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, text
            assert figure.bbox.y0 <= box.y0 <= box.y1 <= figure.bbox.y1, text
        for part in (axes, *axes.child_axes):
            boxes = [label.get_window_extent() for label in part.get_yticklabels()]
            boxes = sorted((box for box in boxes if box.width), key=lambda box: box.y0)
            assert all(a.y1 <= b.y0 + 1 for a, b in pairwise(boxes))
            assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_tables_are_read_as_they_are_written():
    lines = report.lines_of(PAGE)
    rows = [row for row in PAGE.splitlines() if row.startswith("| ") and row.count("|") == 9]
    assert len(lines) == len(rows) - 1  # the head
    line = next(x for x in lines if x.case == "CE 512 x 32 000" and x.mode == "in_place")
    row = next(row for row in rows if row.startswith("| CE 512 x 32 000 | value and gradient, in"))
    ours, _, limit, torch, _, best = (cell.strip() for cell in row.split("|")[3:-1])
    assert (line.ce * 1e3, line.torch * 1e3) == pytest.approx((float(ours), float(torch)))
    assert line.fraction == float(limit)
    assert f"{line.other / line.ce:.1f} {line.rival}" == best
    assert all(x.fraction is None for x in lines if x.case == "CE 1 x 10")


def test_speed(drawn, tmp_path):
    """The conditions, the plain call beside the best mode, the best rival beside torch."""
    lines = report.lines_of(PAGE)
    plots.ratios(lines, ABOUT, tmp_path / "speed.png")
    (figure,) = drawn
    assert ABOUT in heading(figure)
    beside_torch, beside_others = figure.axes
    assert [axes.get_title() for axes in figure.axes] == [
        "beside torch (eager)", "beside the fastest other library",
    ]  # fmt: skip
    cases = [label.get_text() for label in beside_torch.get_yticklabels()]
    row = {x.mode: x for x in lines if x.case == "CE 512 x 32 000"}
    plain, best = row["fused"], row["in_place"]
    for axes, numbers in (
        (beside_torch, [plain.torch / plain.ce, best.torch / best.ce]),
        (beside_others, [plain.other / plain.ce, best.other / best.ce]),
    ):
        words = dict(zip(cases, words_right_of(axes), strict=True))["CE 512 x 32 000"]
        found = [float(word.rstrip("x")) for word in words.split() if word[0].isdigit()]
        assert found == pytest.approx(numbers, rel=0.04)
    assert plain.rival in words
    assert best.rival in words
    assert_fits(figure)


def test_limit(drawn, tmp_path):
    plots.fractions(report.lines_of(PAGE), ABOUT, tmp_path / "limit.png")
    (figure,) = drawn
    assert ABOUT in heading(figure)
    assert "in place can be above" in figure.axes[0].get_xlabel()
    assert_fits(figure)


def test_more_than_the_limit_is_explained():
    assert "It can be above 1:" in report.EXPLANATION
    assert report.EXPLANATION in PAGE


def test_the_plots_of_a_page(tmp_path):
    report.draw(PAGE, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["limit.png", "speed.png"]
    with pytest.raises(ValueError, match="no report"):
        report.draw("", tmp_path)


def record(point):
    """A point that takes a microsecond, and a nanosecond for each logit."""
    keys = {"sweep", "size", "mode", "threads"}
    seconds = 1e-6 + point.elements * 1e-9
    found = {key: getattr(point, key) for key in keys}
    return found | {"elements": point.elements, "seconds": seconds}


def test_scaling(drawn, tmp_path):
    """What is on the axes, of which loss and dtype; lines join what is alike."""
    points = [record(point) for point in scaling.points(quick=False, huge=True)]
    machine = {"name": "Intel(R) Xeon(R)", "caches": {"L1": 2**15, "L2": 2**20, "L3": 2**25}}
    measured = {"machine": machine, "visits": 8, "points": json.loads(json.dumps(points))}
    plots.scaling(measured, scaling.SWEEPS, tmp_path / "scaling.png")
    (figure,) = drawn
    for words in ("Cross-entropy", "float32", "Intel(R) Xeon(R)", "the best of 8 visits"):
        assert words in heading(figure)
    for axes, sweep in zip(figure.axes, scaling.SWEEPS.values(), strict=True):
        assert axes.get_xlabel() == sweep.label
        assert axes.get_ylabel() == "ns per logit"
        lines = [line for line in axes.lines if not line.get_label().startswith("_")]
        sizes = [size for line in lines for size in line.get_xdata()]
        assert not any(sweep.awkward(size) for size in sizes)
        assert all(list(line.get_xdata()) == sorted(line.get_xdata()) for line in lines)
    caches = [text.get_text().strip() for text in figure.axes[-1].texts]
    assert caches == ["L2", "L3"]
    assert_fits(figure)


def test_sizes_that_fill_no_whole_cache_lines_are_dots():
    sweep = scaling.SWEEPS["classes"]
    assert [k for k in (2, 15, 16, 17, 31, 32, 33, 1000, 1024) if sweep.awkward(k)] == [
        17, 31, 33, 1000,
    ]  # fmt: skip
    assert not scaling.SWEEPS["rows of 10"].awkward(17)


def test_the_page_says_what_lines_dots_and_marks_are():
    assert scaling.CAPTION in PAGE
    assert scaling.table(list(scaling.points(quick=True, huge=False))).startswith(scaling.CAPTION)


def test_the_machine_is_named():
    machine = scaling.machine()
    assert machine["name"]
    assert all(capacity >= 1024 for capacity in machine["caches"].values())
