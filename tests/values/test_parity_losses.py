"""Agreement with torch of all losses but cross-entropy of indices, which test_parity.py has."""

import itertools

import numpy as np
import pytest
from helpers.problems import FLOATS, problem
from oracle import LOSSES
from oracle.binary import torch_sigmoid_focal
from oracle.classification import torch_focal
from oracle.exact import BFLOAT16

import ce

torch = pytest.importorskip("torch", reason="torch is not installed")
F = torch.nn.functional

INF = np.inf
SHAPES = [(6,), (1, 3), (9, 4), (3, 300), (3, 5, 7), (2, 4, 3, 5)]
both_floats = pytest.mark.parametrize("dtype", FLOATS)
# ce is held to its own definition elsewhere; here the roundings of both count, torch's more
TOLERANCE = {
    np.float32: {"rtol": 3e-5, "atol": 2e-6},
    np.float64: {"rtol": 1e-12, "atol": 1e-14},
}


@pytest.fixture(autouse=True, scope="module")
def one_thread_for_torch():
    """Threads of the two libraries that wait for work would slow each other down."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tensor(x):
    return torch.from_numpy(np.array(x, order="C")) if isinstance(x, np.ndarray | np.generic) else x


def by_torch(function, x, target, grad_output=None, **options):
    """The loss and the gradient by torch."""
    z = tensor(x).requires_grad_()
    loss = function(z, tensor(target), **{name: tensor(v) for name, v in options.items()})
    g = torch.ones_like(loss) if grad_output is None else tensor(grad_output)
    (grad,) = torch.autograd.grad(loss, z, g)
    return loss.detach().numpy(), grad.numpy()


def counterpart(loss):
    """torch's function, or one composed of torch's."""
    function = loss.torch.function
    return getattr(F, function) if isinstance(function, str) else function


@pytest.mark.filterwarnings("ignore:reduction. .mean. divides:UserWarning")
@pytest.mark.parametrize("loss", [x for x in LOSSES if x.torch], ids=lambda loss: loss.label)
@both_floats
def test_every_option(loss, dtype, rng):
    """Without sample weights, which torch does not know."""
    for shape in SHAPES:
        for sweep, reduction in itertools.product(loss.sweeps, loss.reductions):
            sweep = tuple(option for option in sweep if option.name != "sample_weight")
            p = problem(loss, shape, None, dtype, sweep, reduction)
            options = {name: v for name, v in p.options.items() if name != "axis"}
            g = rng.normal(size=p.items if reduction == "none" else ()).astype(dtype)
            value, grad = by_torch(counterpart(loss), p.x, p.target, g, **options)
            criterion = getattr(ce, loss.criterion)(**p.options)
            np.testing.assert_allclose(criterion(p.x, p.target), value, **TOLERANCE[dtype])
            got = criterion.grad(p.x, p.target, grad_output=g)
            if np.isnan(value).all():  # the mean over nothing: its gradient is 0, of torch NaN
                assert not got.any()
                continue
            tolerance = dict(TOLERANCE[dtype])
            tolerance["rtol"] = max(tolerance["rtol"], loss.torch.rtol)
            sound = loss.torch.sound and loss.torch.sound(p, grad)
            if sound is not None:
                got, grad = np.where(sound, got, 0), np.where(sound, grad, 0)
                tolerance["rtol"] *= loss.torch.slack
            np.testing.assert_allclose(got, grad, **tolerance)


# -- where ce is right on purpose -----------------------------------------------------------------


def test_difference_impossible_class_of_probability_zero():
    logits, q = np.float32([[-INF, 0, 1]]), np.float32([[0, 0, 1]])
    assert np.isnan(by_torch(F.cross_entropy, logits, q)[0])
    np.testing.assert_allclose(ce.cross_entropy(logits, q), np.log1p(1 / np.e), rtol=1e-6)


def test_difference_binary_cross_entropy_at_infinity():
    x, y = np.float32([INF, -INF]), np.float32([1, 0])
    assert np.isnan(by_torch(F.binary_cross_entropy_with_logits, x, y)[0])
    assert ce.binary_cross_entropy_with_logits(x, y) == 0


def test_difference_binary_gradient_of_confident_logits():
    """torch's sigmoid(x) - y cancels."""
    x, y = np.float32([20]), np.float32([1])
    assert by_torch(F.binary_cross_entropy_with_logits, x, y)[1] == 0
    grad = ce.BCEWithLogitsLoss().grad(x, y)
    np.testing.assert_allclose(grad, [-np.exp(-20.0) / (1 + np.exp(-20.0))], rtol=1e-6)


def test_difference_binary_labels_out_of_range():
    """torch refuses them, too, but does not say where they are."""
    x, y = np.float32([0.5, 0.25]), np.float32([0, 1.5])
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        by_torch(F.binary_cross_entropy, x, y)
    with pytest.raises(ValueError, match=r"target\[1\] is 1\.5"):
        ce.binary_cross_entropy(x, y)


def test_difference_weighted_huber():
    """torch's mean divides by the number of elements, not as that of its mse_loss and l1_loss."""
    x, y, weight = np.float32([1, 2, 4]), np.zeros(3, np.float32), np.float32([1, 0, 2])
    total = ce.huber_loss(x, y, weight=weight, reduction="sum")
    np.testing.assert_allclose(by_torch(F.huber_loss, x, y, weight=weight)[0], total / 3)
    np.testing.assert_allclose(ce.huber_loss(x, y, weight=weight), total / 3)  # sum(weight) is 3
    weight = 2 * weight
    np.testing.assert_allclose(by_torch(F.huber_loss, x, y, weight=weight)[0], 2 * total / 3)
    np.testing.assert_allclose(ce.huber_loss(x, y, weight=weight), total / 3)
    np.testing.assert_allclose(
        ce.mse_loss(x, y, weight=weight), by_torch(F.mse_loss, x, y, weight=weight)[0]
    )


def test_difference_huber_of_large_residuals():
    x, y = np.float32([1e25]), np.zeros(1, np.float32)
    assert ce.huber_loss(x, y) == np.float32(1e25)


@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
def test_difference_broadcasting():
    x, y = np.zeros((3, 1), np.float32), np.ones(3, np.float32)
    assert by_torch(F.mse_loss, x, y, reduction="none")[0].shape == (3, 3)
    with pytest.raises(ValueError, match="target"):
        ce.mse_loss(x, y)


def test_difference_log_targets_of_probability_zero():
    x, t = np.float32([-1, -INF, 0.5]), np.float32([-INF, -INF, 0])
    options = {"log_target": True, "reduction": "none"}
    assert np.isnan(by_torch(F.kl_div, x, t, **options)[0]).any()
    np.testing.assert_array_equal(ce.kl_div(x, t, **options), [0, 0, -0.5])


def test_difference_sigmoid_focal_of_certain_logits():
    """Zero to a negative power."""
    x, y = np.float32([120]), np.float32([1])
    assert np.isnan(by_torch(torch_sigmoid_focal, x, y, gamma=0.5)[1])
    loss, grad = ce.SigmoidFocalLoss(gamma=0.5).value_and_grad(x, y)
    assert loss == 0
    np.testing.assert_array_equal(grad, [0])


def test_difference_softmax_focal_of_certain_logits():
    z, t = np.float32([[30, 0]]), np.array([0])
    assert np.isnan(by_torch(torch_focal, z, t, gamma=0.5)[1]).any()
    loss, grad = ce.FocalLoss(gamma=0.5).value_and_grad(z, t)
    q = np.exp(-30.0)
    np.testing.assert_allclose(loss, q**1.5, rtol=1e-5)
    np.testing.assert_allclose(grad, [[-1.5 * q**1.5, 1.5 * q**1.5]], rtol=1e-5)


def test_difference_sums_of_half_types():
    """torch adds float16 losses in float16."""
    logits, target = np.zeros((70_000, 3), np.float16), np.zeros(70_000, int)
    assert np.isinf(by_torch(F.cross_entropy, logits, target, reduction="sum")[0])
    got = ce.cross_entropy(logits, target, reduction="sum")
    np.testing.assert_allclose(got, 70_000 * np.log(3), rtol=1e-6)


def test_difference_long_rows_of_bfloat16(rng):
    """torch rounds the logarithm of the sum, and every result, to bfloat16."""
    logits = rng.normal(0, 1, (4, 5000)).astype(BFLOAT16)
    z = torch.from_numpy(logits.astype(np.float32)).bfloat16()
    expected = torch.logsumexp(z.double(), 1).numpy()
    off = abs(torch.logsumexp(z, 1).double().numpy() - expected)
    assert off.max() > 1e-3
    np.testing.assert_allclose(ce.logsumexp(logits), expected, rtol=1e-6)
