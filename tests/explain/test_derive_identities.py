"""Textbook identities come out in the textbook's form.

The numbers are those of K. B. Petersen and M. S. Pedersen, The Matrix Cookbook, version of
November 15, 2012. Where the book assumes a symmetric matrix, the general form is expected here.
"""

import inspect

import numpy as np
import pytest

import pullback as pb

N, M = 3, 4
SHAPES = dict.fromkeys("abcdstxyw", (N,)) | dict.fromkeys("ABCDSWX", (N, N))
SHAPES |= {"F": (M, N), "G": (M, M), "t": (M,), "y": (M,), "Y": (M, 2), "V": (N, 2), "T": (M, 2)}
tr, inv, det, norm = np.trace, np.linalg.inv, np.linalg.det, np.linalg.norm
power, kron = np.linalg.matrix_power, np.kron


def logdet(X):
    return np.linalg.slogdet(X)[1]


BOOK = [
    (49, lambda X: det(X), "X", "det(X) X⁻ᵀ"),
    (51, lambda A, X, B: det(A @ X @ B), "X", "det(A X B) X⁻ᵀ"),
    (52, lambda X, A: det(X.T @ A @ X), "X", "2 det(Xᵀ A X) X⁻ᵀ"),
    (54, lambda F, G: det(F.T @ G @ F), "F",
     "det(Fᵀ G F) (G F (Fᵀ G F)⁻¹ + Gᵀ F (Fᵀ G F)⁻ᵀ)"),
    (57, lambda X: logdet(X), "X", "X⁻ᵀ"),
    (57, lambda X: np.log(det(X @ X.T)), "X", "2 X⁻ᵀ"),
    (58, lambda X: det(power(X, 3)), "X", "3 det(X³) X⁻ᵀ"),
    (61, lambda a, X, b: a @ inv(X) @ b, "X", "−X⁻ᵀ a bᵀ X⁻ᵀ"),
    (61, lambda a, X, b: a @ np.linalg.solve(X, b), "X", "−X⁻ᵀ a bᵀ X⁻ᵀ"),
    (62, lambda X: det(inv(X)), "X", "−det(X⁻¹) X⁻ᵀ"),
    (63, lambda A, X, B: tr(A @ inv(X) @ B), "X", "−X⁻ᵀ Aᵀ Bᵀ X⁻ᵀ"),
    (64, lambda X, A: tr(inv(X + A)), "X", "−((X + A)⁻ᵀ)²"),
    (69, lambda x, a: x @ a, "x", "a"),
    (69, lambda x, a: np.dot(a, x), "x", "a"),
    (70, lambda a, X, b: a @ X @ b, "X", "a bᵀ"),
    (71, lambda a, X, b: a @ X.T @ b, "X", "b aᵀ"),
    (72, lambda a, X: a @ X @ a, "X", "a aᵀ"),
    (76, lambda X: np.sum(X) ** 2, "X", "2 (𝟏ᵀ X 𝟏) 𝟏 𝟏ᵀ"),
    (77, lambda b, X, c: b @ X.T @ X @ c, "X", "X (c bᵀ + b cᵀ)"),
    (78, lambda B, x, b, C, D, d: (B @ x + b) @ C @ (D @ x + d), "x",
     "Bᵀ C (D x + d) + Dᵀ Cᵀ (B x + b)"),
    (81, lambda x, B: x @ B @ x, "x", "(B + Bᵀ) x"),
    (82, lambda b, X, D, c: b @ X.T @ D @ X @ c, "X", "D X c bᵀ + Dᵀ X b cᵀ"),
    (83, lambda X, b, c, D: (X @ b + c) @ D @ (X @ b + c), "X", "(D + Dᵀ) (X b + c) bᵀ"),
    (84, lambda x, A, s, W: (x - A @ s) @ W @ (x - A @ s), "s", "−Aᵀ (W + Wᵀ) (x − A s)"),
    (85, lambda x, s, W: (x - s) @ W @ (x - s), "x", "(W + Wᵀ) (x − s)"),
    (86, lambda x, s, W: (x - s) @ W @ (x - s), "s", "−(W + Wᵀ) (x − s)"),
    (88, lambda x, A, s, W: (x - A @ s) @ W @ (x - A @ s), "A", "−(W + Wᵀ) (x − A s) sᵀ"),
    (99, lambda X: tr(X), "X", "I"),
    (100, lambda X, A: tr(X @ A), "X", "Aᵀ"),
    (101, lambda A, X, B: tr(A @ X @ B), "X", "Aᵀ Bᵀ"),
    (102, lambda A, X, B: tr(A @ X.T @ B), "X", "B A"),
    (103, lambda X, A: tr(X.T @ A), "X", "A"),
    (104, lambda A, X: tr(A @ X.T), "X", "A"),
    (105, lambda A, X: tr(kron(A, X)), "X", "tr(A) I"),
    (106, lambda X: tr(X @ X), "X", "2 Xᵀ"),
    (107, lambda X, B: tr(X @ X @ B), "X", "(X B + B X)ᵀ"),
    (108, lambda X, B: tr(X.T @ B @ X), "X", "(B + Bᵀ) X"),
    (109, lambda X, B: tr(B @ X @ X.T), "X", "(B + Bᵀ) X"),
    (111, lambda X, B: tr(X @ B @ X.T), "X", "X (B + Bᵀ)"),
    (114, lambda A, X, B: tr(A @ X @ B @ X), "X", "(B X A + A X B)ᵀ"),
    (115, lambda X: tr(X.T @ X), "X", "2 X"),
    (115, lambda X: np.sum(X * X), "X", "2 X"),
    (116, lambda B, X, C: tr(B.T @ X.T @ C @ X @ B), "X", "(C + Cᵀ) X B Bᵀ"),
    (117, lambda X, B, C: tr(X.T @ B @ X @ C), "X", "B X C + Bᵀ X Cᵀ"),
    (118, lambda A, X, B, C: tr(A @ X @ B @ X.T @ C), "X", "Aᵀ Cᵀ X Bᵀ + C A X B"),
    (119, lambda A, X, B, C: tr((A @ X @ B + C) @ (A @ X @ B + C).T), "X",
     "2 Aᵀ (A X B + C) Bᵀ"),
    (120, lambda X: tr(kron(X, X)), "X", "2 tr(X) I"),
    (121, lambda X: tr(power(X, 4)), "X", "4 (Xᵀ)³"),
    (129, lambda x, a: norm(x - a), "x", "(x − a) / ‖x − a‖"),
    (131, lambda x: norm(x) ** 2, "x", "2 x"),
    (132, lambda X: norm(X) ** 2, "X", "2 X"),
]  # fmt: skip

OTHERS = [
    ("least squares", lambda w, F, y: norm(F @ w - y) ** 2, "w", "2 Fᵀ (F w − y)"),
    ("ridge regression", lambda w, F, y, lam: norm(F @ w - y) ** 2 + lam * w @ w, "w",
     "2 (Fᵀ (F w − y) + λ w)"),
    ("several targets", lambda V, F, T: 0.5 * np.sum((F @ V - T) ** 2), "V", "Fᵀ (F V − T)"),
    ("logistic regression", lambda w, F, y: np.sum(np.logaddexp(0, F @ w) - y * (F @ w)), "w",
     "Fᵀ (σ(F w) − y)"),
    ("Poisson regression", lambda w, F, y: np.sum(np.exp(F @ w) - y * (F @ w)), "w",
     "Fᵀ (exp(F w) − y)"),
    ("log-sum-exp", lambda x: np.log(np.sum(np.exp(x))), "x", "softmax(x)"),
    ("weighted squares", lambda w, F, y, t: np.sum(t * (F @ w - y) ** 2), "w",
     "2 Fᵀ (t ∘ (F w − y))"),
    ("Gaussian", lambda x, s, A: np.exp(-0.5 * (x - s) @ inv(A) @ (x - s)), "x",
     "−½ exp(−½ (x − s)ᵀ A⁻¹ (x − s)) (A⁻¹ + A⁻ᵀ) (x − s)"),
    ("Gaussian log-likelihood", lambda A, S: 0.5 * (logdet(A) + tr(inv(A) @ S)), "A",
     "½ (A⁻¹ − A⁻¹ S A⁻¹)ᵀ"),
    ("a quadratic with a linear term", lambda x, A, a, B, b: x @ A @ x + a @ x + norm(B @ x), "x",
     "(A + Aᵀ) x + a + Bᵀ B x / ‖B x‖"),
    ("Rayleigh quotient", lambda A, x: (x @ A @ x) / (x @ x), "A", "x xᵀ / ‖x‖²"),
    ("factorisation", lambda F, V, T: norm(F @ V - T) ** 2, "F", "2 (F V − T) Vᵀ"),
    ("cosine", lambda x, a: x @ a / norm(a), "x", "a / ‖a‖"),
    ("diagonal", lambda x, A: tr(np.diag(x) @ A), "x", "diag(A)"),
    ("entropy", lambda x: np.sum(np.exp(x) * x), "x", "x ∘ exp(x) + exp(x)"),
]  # fmt: skip


def arguments(function):
    rng = np.random.default_rng(0)
    names = list(inspect.signature(function).parameters)
    drawn = {name: rng.normal(size=SHAPES.get(name, ())) for name in names}
    for name in drawn.keys() & {"A", "S", "X"}:  # positive definite, that logarithms exist
        drawn[name] = drawn[name] @ drawn[name].T + np.eye(N)
    return drawn


@pytest.mark.parametrize(
    ("function", "by", "expected"),
    [pytest.param(*case, id=f"{number}-{case[2]}") for number, *case in [*BOOK, *OTHERS]],
)
def test_the_gradient_is_that_of_the_book(function, by, expected):
    args = arguments(function)
    position = list(args).index(by)
    line = pb.derive(function, *args.values(), argnums=position).gradient(by)
    assert str(line.expression) == expected
    gradient = pb.grad(function, argnums=position)(*args.values())
    np.testing.assert_allclose(line.value, gradient, rtol=1e-8, atol=1e-10)
