"""What turns feature maps into a loss: pooling, a linear layer, softmax with cross-entropy."""

import numpy as np

from convlab.numpy_engine.layer import Layer


class GlobalAveragePool(Layer):
    """y[n, c] = the mean of x[n, ·, ·, c] over P pixels; so ∂L/∂x is ∂L/∂y / P at each of them."""

    def forward(self, images: np.ndarray, training: bool) -> np.ndarray:
        """Compute [N, H, W, C] → [N, C]."""
        if training:
            self.shape = images.shape
        return images.mean((1, 2))

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Compute ∂L/∂x [N, H, W, C] from ∂L/∂y [N, C]."""
        _, height, width, _ = self.shape
        return np.broadcast_to(gradient[:, None, None] / (height * width), self.shape)


class Linear(Layer):
    """Y = X · Wᵀ + b; so ∂L/∂W = ∂L/∂Yᵀ · X, ∂L/∂b = Σ ∂L/∂Y over the rows, ∂L/∂X = ∂L/∂Y · W."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray):
        """Take W, [K, C], and b, [K]."""
        super().__init__(weight=weight, bias=bias)

    def forward(self, images: np.ndarray, training: bool) -> np.ndarray:
        """Compute [N, C] → [N, K]."""
        if training:
            self.rows = images
        return images @ self.parameters["weight"].T + self.parameters["bias"]

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Compute ∂L/∂X [N, C] from ∂L/∂Y [N, K]."""
        np.matmul(gradient.T, self.rows, out=self.gradients["weight"])
        np.sum(gradient, 0, out=self.gradients["bias"])
        return gradient @ self.parameters["weight"]


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """Compute L = −Σ t · ln p / N with p = softmax(z), and ∂L/∂z = (p − t) / N.

    For ∂pⱼ/∂zₖ = pⱼ · (δⱼₖ − pₖ), and each row of the targets t adds up to 1.

    Args:
        logits: z, float [N, classes].
        targets: t, float [N, classes], the probability of each class.
    """
    shifted = logits - logits.max(1, keepdims=True)  # softmax stays the same, and exp cannot overflow
    log_probabilities = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    loss = -(targets * log_probabilities).sum() / len(logits)
    return float(loss), (np.exp(log_probabilities) - targets) / len(logits)
