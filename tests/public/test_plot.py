"""``python -m ce plot``: it draws what the losses say, and explains what it refuses."""

import sys

import numpy as np
import pytest
from oracle import LOSSES

import ce
from ce import _plot
from ce.__main__ import main

matplotlib = pytest.importorskip("matplotlib", reason="the pictures are drawn with matplotlib")
pytest.importorskip("matplotlib.figure")
matplotlib.use("Agg")
BCE_WITH_LOGITS = "binary_cross_entropy_with_logits"
PNG = b"\x89PNG\r\n\x1a\n"


NAMES = list(dict.fromkeys(loss.name for loss in LOSSES))
CURVES = [(loss, curve) for loss in LOSSES for curve in loss.curves]


def called(loss, curve, x):
    """The losses of a curve, as one would call the function: of classes, target 0 beside a 0."""
    target = curve.target
    if loss.name == "nll_loss":
        return ce.nll_loss(np.log([x, 1 - x]).T, np.zeros(len(x), int), reduction="none")
    if loss.name == "kl_div":
        p = np.tile([target, 1 - target], (len(x), 1))
        return ce.kl_div(np.log([x, 1 - x]).T, p, reduction="none").sum(axis=1)
    if loss.classes:
        x, target = np.stack([x, 0 * x], axis=1), np.zeros(len(x), int)
    return getattr(ce, loss.name)(x, target, reduction="none", **curve.options)


def draw(names, **given):
    """The panels of loss and gradient, and the lines of each by their labels."""
    figure = matplotlib.figure.Figure()
    axis = _plot.LOSSES[names[0]].axis
    _plot.draw(figure, _plot.curves(names, given), axis, *axis.range)
    return figure.axes, [{line.get_label(): line for line in p.lines} for p in figure.axes]


def complaint(capsys, *arguments):
    """The message with which the command ends, and its exit status."""
    with pytest.raises(SystemExit) as end:
        main(["plot", *arguments])
    printed, code = capsys.readouterr().err, end.value.code
    return (code, 1) if isinstance(code, str) else (printed, code)  # Python prints a str: status 1


def test_every_loss_can_be_drawn():
    assert {name: _plot.LOSSES[name].axis.name for name in _plot.LOSSES} == {
        loss.name: loss.axis for loss in LOSSES
    }
    assert {loss.name for loss, _ in CURVES} == set(NAMES)


@pytest.mark.parametrize(
    ("loss", "curve"), CURVES, ids=[loss.name + curve.label for loss, curve in CURVES]
)
def test_curves_are_a_loss_and_its_slope(loss, curve):
    name, label = loss.name, loss.name + curve.label
    _, (losses, grads) = draw([name], **curve.given)
    x, y = losses[label].get_data()
    np.testing.assert_array_equal(y, called(loss, curve, x))
    low, high = _plot.LOSSES[name].axis.range
    inner = (abs(x) > 0.01) & (x > low + 0.1 * (high - low)) & (x < high - 0.1 * (high - low))
    slope = np.gradient(y, x)[inner]
    np.testing.assert_allclose(grads[label].get_ydata()[inner], slope, rtol=1e-3, atol=1e-2)


def test_labels_and_colours():
    panels, lines = draw(["cross_entropy", "focal_loss"], gamma=[0.5, 2])
    labels = ["cross_entropy", "focal_loss, γ = 0.5", "focal_loss, γ = 2"]
    for panel, by_label in zip(panels, lines, strict=True):
        assert [label for label in by_label if not label.startswith("_")] == labels
        assert len({by_label[label].get_color() for label in labels}) == 3
        assert panel.get_xlabel().startswith("margin")
        assert panel.get_xlim() == (-4, 6)
    assert panels[0].get_ylabel() == "loss (nats)"
    assert panels[1].get_ylabel().startswith("gradient")


def test_colours_tell_losses_apart_and_dashes_targets():
    losses = [curve.style for curve in _plot.curves([BCE_WITH_LOGITS, "sigmoid_focal_loss"], {})]
    assert [style["linestyle"] for style in losses] == ["-", "--", "-", "--"]
    assert losses[0]["color"] == losses[1]["color"] != losses[2]["color"]
    single = [curve.style for curve in _plot.curves([BCE_WITH_LOGITS], {})]
    assert [style["linestyle"] for style in single] == ["-", "-"]
    assert single[0]["color"] != single[1]["color"]


def test_more_curves_than_colours():
    many = _plot.curves(["focal_loss"], {"gamma": list(range(20))})
    assert len({tuple(curve.style["color"]) for curve in many}) == 20


def test_a_jump_is_a_gap_with_dots():
    panels, (losses, grads) = draw(["l1_loss", "mse_loss"])
    x, grad = grads["l1_loss"].get_data()
    assert np.isnan(grad[x == 0]).all()
    assert set(grad[x != 0]) == {-1, 1}
    dots = [line.get_xydata().tolist() for line in panels[1].lines if line.get_marker() == "o"]
    assert dots == [[[0, -1], [0, 1]], [[0, 0]]]
    assert losses["l1_loss"].get_ydata()[x == 0] == 0
    assert not np.isnan(grads["mse_loss"].get_ydata()).any()


@pytest.mark.parametrize("p", [0.2, 0.5, 1])
def test_divergence_of_two_outcomes_over_the_probability(p):
    """p log(p / x) + (1 - p) log((1 - p) / (1 - x)): 0 where x is p, and steeper with distance."""
    panels, (losses, grads) = draw(["kl_div"])
    x, y = losses[f"kl_div, p = {p:g}"].get_data()
    expected = p * np.log(p / x) + (1 - p) * (np.log(1 - p) - np.log(1 - x) if p < 1 else 0)
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12)
    assert abs(x[np.argmin(y)] - p) < 0.002
    slope = (x - p) / (x * (1 - x)) if p < 1 else -1 / x
    _, grad = grads[f"kl_div, p = {p:g}"].get_data()
    np.testing.assert_allclose(grad, slope, rtol=1e-9, atol=1e-12)
    assert panels[0].get_xlabel() == "probability $x$"


def test_log_likelihood_over_the_probability():
    _, (losses, grads) = draw(["nll_loss", "binary_cross_entropy"])
    x, y = losses["nll_loss"].get_data()
    np.testing.assert_allclose(y, -np.log(x), rtol=1e-15)
    _, grad = grads["nll_loss"].get_data()
    np.testing.assert_allclose(grad, -1 / x, rtol=1e-15)
    assert np.ptp(grad) > 10


@pytest.mark.parametrize("name", list(_plot.LOSSES))
def test_pictures_show_more_than_straight_lines(name):
    """Of every loss but the absolute one the slope changes, in more than one place."""
    _, (_, grads) = draw([name])
    for line in grads.values():
        changes = len(np.unique(line.get_ydata())) > 3
        assert changes or name == "l1_loss" or line.get_label().startswith("_")


def test_poles_leave_the_rest_in_sight():
    panels, _ = draw(["binary_cross_entropy"])
    assert panels[0].get_ylim()[1] < 5
    assert panels[1].get_ylim()[1] < 50


def test_default_is_three_pictures(tmp_path):
    file = tmp_path / "losses.png"
    main(["plot", "-o", str(file)])
    image = file.read_bytes()
    assert image.startswith(PNG)
    width, height = (int.from_bytes(image[i : i + 4], "big") for i in (16, 20))
    assert height > width > 1000


def test_options_and_formats(tmp_path):
    file = tmp_path / "huber.svg"
    arguments = ["huber_loss", "--delta", "0.5", "--delta", "2", "--range", "-3", "4"]
    main(["plot", *arguments, "-o", str(file)])
    assert "<svg" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("ends", ["-1e6 1e6", "-1E+6 1_000", "-.5 -1e-3", "-3 4", "-2e0 -1"])
def test_ranges_as_one_types_them(ends, monkeypatch, tmp_path):
    ranges = []
    monkeypatch.setattr(_plot, "draw", lambda *arguments: ranges.append(arguments[3:]))
    main(["plot", "mse_loss", "--range", *ends.split(), "-o", str(tmp_path / "x.svg")])
    assert ranges == [tuple(map(float, ends.split()))]


def test_wide_ranges_are_drawn(tmp_path):
    for name in ("mse_loss", "cross_entropy", "focal_loss", "sigmoid_focal_loss"):
        main(["plot", name, "--range", "-1e6", "1e6", "-o", str(tmp_path / f"{name}.png")])
        assert (tmp_path / f"{name}.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("output", "written"), [("x.png", "x.png"), ("x.pdf", "x.pdf"), ("x", "x.png")]
)
def test_success_names_the_file(output, written, capsys, tmp_path):
    main(["plot", "mse_loss", "-o", str(tmp_path / output)])
    assert capsys.readouterr().out == f"written to {tmp_path / written}\n"
    assert [file.name for file in tmp_path.iterdir()] == [written]


def test_list(capsys):
    main(["plot", "--list"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == list(_plot.LOSSES)
    assert ["huber_loss", "residual", "--delta"] in rows


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("hubert_loss", "unknown loss 'hubert_loss', did you mean huber_loss? (choose from"),
        ("mse_loss cross_entropy", "mse_loss over the residual, cross_entropy over the margin"),
        ("mse_loss --gamma 2", "argument --gamma: not an option of mse_loss"),
        ("mse_loss --range 2 1", "argument --range: LO must be below HI"),
        ("mse_loss --range 0 inf", "argument --range: LO must be below HI"),
        ("mse_loss --range -1e308 1e308", "argument --range: LO must be below HI, both finite"),
        ("mse_loss --range -1e200 1e200", "argument --range: mse_loss is not finite there"),
        ("kl_div --range -1e-1 1", "argument --range: -0.1 is not in [0, 1]"),
        ("kl_div --target 2", "argument --target: 2 is not in [0, 1]"),
        ("sigmoid_focal_loss --target -1e-3", "argument --target: -0.001 is not in [0, 1]"),
        ("binary_cross_entropy_with_logits --target nan", "argument --target: nan is not in"),
        ("focal_loss --gamma -1e-3", "gamma is -0.001"),
        ("focal_loss --alpha some", "argument --alpha: 'some' is neither a number nor none"),
        ("cross_entropy --label-smoothing -1e-3", "label_smoothing is -0.001"),
        ("--range 0 1", "argument --range: needs the name of a loss"),
        ("huber_loss --delta x", "argument --delta: invalid float value: 'x'"),
        ("huber_loss --delta -1", "delta is -1.0"),
        ("binary_cross_entropy --range 0 2", "argument --range: 2 is not in [0, 1]"),
    ],
)
def test_errors_of_the_command_line(arguments, words, capsys, tmp_path):
    file = tmp_path / "picture.png"
    message, status = complaint(capsys, *arguments.split(), "-o", str(file))
    assert status == 2
    assert words in message
    assert not file.exists()


def test_errors_of_files(capsys, tmp_path):
    for name, words in (
        ("x.nonesuch", "'nonesuch' is not supported"),
        ("no/x.png", "argument -o/--output: [Errno 2] No such file"),
        (".", "is a folder"),
    ):
        message, status = complaint(capsys, "mse_loss", "-o", str(tmp_path / name))
        assert status == 2
        assert words in message


def test_without_matplotlib(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message, status = complaint(capsys, "mse_loss", "-o", "x.png")
    assert status == 1
    assert 'pip install "matplotlib' in message


def test_without_a_display(capsys):
    message, status = complaint(capsys, "mse_loss")
    assert status == 1
    assert "-o FILE" in message


def test_window(monkeypatch):
    from matplotlib import pyplot

    shown = []
    monkeypatch.setattr(_plot, "FILE_BACKENDS", ())
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(pyplot.gcf()))
    main(["plot", "mse_loss"])
    assert len(shown[0].axes) == 2
    pyplot.close(shown[0])
