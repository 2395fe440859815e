"""Recognise handwritten digits with NumPy and `ce`: softmax regression and a two-layer network.

    python examples/digits.py [--epochs 30] [--seed 0] [--plot digits.png]

The models and their gradients are NumPy; the loss, and its gradient with respect to the logits,
is one call of `ce`. Data: the 1797 images of 8 x 8 pixels that come with scikit-learn.
"""

import argparse
import sys
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import ce

LossAndGrad = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
CLASSES, BATCH = 10, 64


def cross_entropy(dtype) -> LossAndGrad:
    """Mean cross-entropy and its gradient, which goes to the same buffer in every step."""
    criterion = ce.CrossEntropyLoss()
    buffer = np.empty((BATCH, CLASSES), dtype)

    def loss_and_grad(logits, target):
        return criterion.value_and_grad(logits, target, out=buffer[: len(logits)])

    return loss_and_grad


class Network:
    """Dense layers with ReLU between them; with two sizes only, it is softmax regression."""

    def __init__(self, sizes, rng, dtype):
        shapes = list(pairwise(sizes))
        weights = [rng.standard_normal(shape) * np.sqrt(2 / shape[0]) for shape in shapes]
        self.weights = [w.astype(dtype) for w in weights]
        self.biases = [np.zeros(n, dtype) for n in sizes[1:]]

    @property
    def parameters(self):
        return self.weights + self.biases

    def logits(self, x):
        """Return the logits, and the input of every layer for `gradients`."""
        inputs = [x]
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            inputs.append(np.maximum(inputs[-1] @ w + b, 0))
        return inputs[-1] @ self.weights[-1] + self.biases[-1], inputs

    def gradients(self, inputs, d):
        """Carry `d`, the gradient at the logits, back to every parameter."""
        d_weights, d_biases = [], []
        for w, x in zip(self.weights[::-1], inputs[::-1], strict=True):
            d_weights.insert(0, x.T @ d)
            d_biases.insert(0, d.sum(axis=0))
            d = (d @ w.T) * (x > 0)
        return d_weights + d_biases

    def accuracy(self, x, target):
        return float(np.mean(self.logits(x)[0].argmax(axis=1) == target))


def train(model, loss_and_grad: LossAndGrad, x, target, *, epochs, rng, name="", rate=0.2):
    """Train by gradient descent with momentum 0.9; return the loss of every step."""
    velocities = [np.zeros_like(p) for p in model.parameters]
    steps = -(-len(x) // BATCH)  # an epoch in batches of equal size, BATCH at most
    losses = []
    for epoch in range(1, epochs + 1):
        for batch in np.array_split(rng.permutation(len(x)), steps):
            logits, inputs = model.logits(x[batch])
            loss, d_logits = loss_and_grad(logits, target[batch])
            losses.append(float(loss))
            gradients = model.gradients(inputs, d_logits)
            for p, v, g in zip(model.parameters, velocities, gradients, strict=True):
                v *= 0.9
                v -= rate * g
                p += v
        show_progress(name, epoch, epochs, np.mean(losses[-steps:]))
    return losses


def show_progress(name, epoch, epochs, loss):
    """Rewrite one line on a terminal; write plain lines to a file or a pipe."""
    terminal = sys.stdout.isatty()
    bar = f"{'█' * (20 * epoch // epochs):·<20} " if terminal else ""
    end = "\n" if epoch == epochs or not terminal else ""
    start = "\r" if terminal else ""
    line = f"{start}{name:18} {bar}epoch {epoch}/{epochs}, training loss {loss:.4f}"
    print(line, end=end, flush=True)


def load(seed, dtype=np.float32):
    """Return training images, test images, training targets and test targets."""
    x, target = load_digits(return_X_y=True)
    x = (x / 16).astype(dtype)
    return train_test_split(x, target, test_size=0.25, stratify=target, random_state=seed)


def plot(losses, path):
    """Draw the mean training loss of every epoch, one line a model."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, values in losses.items():
        axes.plot(np.arange(1, len(values) + 1), values, label=name)
    axes.set(xlabel="epoch", ylabel="training loss: mean cross-entropy (nats)", yscale="log")
    axes.grid(color="#e6e8eb")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments=None) -> dict[str, float]:
    """Train both models, print and return their test accuracies, save the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="digits.png", help="where to save the training loss")
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error(f"argument --epochs: {options.epochs} is not at least 1")

    x, x_test, target, target_test = load(options.seed)
    models = {"softmax regression": (64, CLASSES), "two-layer network": (64, 128, CLASSES)}
    losses, accuracies = {}, {}
    for name, sizes in models.items():
        rng = np.random.default_rng(options.seed)
        model = Network(sizes, rng, x.dtype)
        loss = cross_entropy(x.dtype)
        steps = train(model, loss, x, target, epochs=options.epochs, rng=rng, name=name)
        losses[name] = np.reshape(steps, (options.epochs, -1)).mean(axis=1)
        accuracies[name] = model.accuracy(x_test, target_test)
    for name, accuracy in accuracies.items():
        print(f"{name:18} test accuracy {accuracy:.3f}")
    plot(losses, options.plot)
    print(f"training loss: {options.plot}")
    return accuracies


if __name__ == "__main__":
    main()
