"""How a neighbour leaves: cutoff functions of the reduced distance x = r / cutoff, and their derivatives by x."""

import math

import torch
from torch import Tensor


def polynomial_cutoff(x: Tensor, smoothness: int) -> Tensor:
    """Return `(1 - x^2)^(smoothness + 1)` below x = 1 and 0 beyond, with `smoothness` continuous derivatives at 1."""
    inside = torch.clamp(1.0 - x * x, min=0.0)
    out = inside
    for _ in range(smoothness):
        out = out * inside
    return out


def polynomial_cutoff_slope(x: Tensor, smoothness: int) -> Tensor:
    """Return the derivative of `polynomial_cutoff`, `-2 (s + 1) x (1 - x^2)^s`."""
    out = torch.where(x < 1.0, -2.0 * (smoothness + 1) * x, torch.zeros_like(x))
    return out * polynomial_cutoff(x, smoothness - 1) if smoothness > 0 else out


def cosine_cutoff(x: Tensor) -> Tensor:
    """Return `(cos(pi x) + 1) / 2` below x = 1 and 0 beyond; one continuous derivative at 1."""
    return 0.5 * torch.cos(math.pi * torch.clamp(x, max=1.0)) + 0.5


def cosine_cutoff_slope(x: Tensor) -> Tensor:
    """Return the derivative of `cosine_cutoff`."""
    return -0.5 * math.pi * torch.sin(math.pi * torch.clamp(x, max=1.0))


def tanh_cutoff(x: Tensor) -> Tensor:
    """Return `tanh^3(1 - x)` below x = 1 and 0 beyond; two continuous derivatives at 1."""
    inside = torch.tanh(torch.clamp(1.0 - x, min=0.0))
    return inside * inside * inside


def tanh_cutoff_slope(x: Tensor) -> Tensor:
    """Return the derivative of `tanh_cutoff`, `3 tanh^2 (tanh^2 - 1)`."""
    square = torch.tanh(torch.clamp(1.0 - x, min=0.0)) ** 2
    return 3.0 * square * (square - 1.0)


def smoothstep(x: Tensor, smoothness: int) -> Tensor:
    """Return the polynomial from 0 at x = 0 to 1 at x = 1 that has `smoothness` continuous derivatives at both."""
    x = torch.clamp(x, min=0.0, max=1.0)
    out, term = torch.ones_like(x), torch.ones_like(x)
    for k in range(1, smoothness + 1):  # x^(n+1) sum_k C(n + k, k) (1 - x)^k
        term = term * (1.0 - x) * ((smoothness + k) / k)
        out = out + term
    for _ in range(smoothness + 1):
        out = out * x
    return out


def smoothstep_slope(x: Tensor, smoothness: int) -> Tensor:
    """Return the derivative of `smoothstep`, `(2 n + 1)! / n!^2 (x (1 - x))^n` between 0 and 1 and 0 elsewhere."""
    inside = torch.where((x > 0.0) & (x < 1.0), torch.ones_like(x), torch.zeros_like(x))
    out = inside * (math.factorial(2 * smoothness + 1) / math.factorial(smoothness) ** 2)
    for _ in range(smoothness):
        out = out * (x * (1.0 - x))
    return out


def exponential_cutoff(x: Tensor) -> Tensor:
    """Return `exp(1 - 1 / sqrt((1 - x^3)^2 + 1e-6))` below x = 1 and 0 beyond; the step at 1 is e^-999, none at all.

    For x = (r - r_in) / (r_cut - r_in), which may be negative (Nguyen, Rohskopf, DOI 10.1016/j.jcp.2023.112030).
    """
    inside = 1.0 - torch.clamp(x, max=1.0) ** 3
    return torch.exp(1.0 - torch.rsqrt(inside * inside + 1e-6))


def exponential_cutoff_slope(x: Tensor) -> Tensor:
    """Return the derivative of `exponential_cutoff`."""
    x = torch.clamp(x, max=1.0)
    inside = 1.0 - x**3
    inverse = torch.rsqrt(inside * inside + 1e-6)
    return torch.exp(1.0 - inverse) * inverse**3 * inside * (-3.0 * x * x)
