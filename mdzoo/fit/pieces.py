"""Of which pieces do the features of a descriptor consist: combined descriptors have those of their members."""

import weakref
from typing import Any

import torch
from torch import Tensor

from mdzoo.descriptors import SO4, Concatenate, Descriptor, Projection, Select
from mdzoo.descriptors.triple_slopes import TripleSlopes
from mdzoo.fit.blocks import Piece, column_slopes, piece, whole

known_slopes: "weakref.WeakKeyDictionary[SO4, TripleSlopes]" = weakref.WeakKeyDictionary()


def feature_pieces(descriptor: Descriptor, like: Tensor) -> list[Piece]:
    """Return the features of a descriptor with a density, piece by piece.

    A descriptor that concatenates `parts` (modules, each a polynomial of the density) has one piece for each of them.
    """
    if isinstance(descriptor, Concatenate):
        return concatenated(descriptor, like)
    if isinstance(descriptor, Select):
        return selected(descriptor, like)
    if isinstance(descriptor, Projection):
        return [projected(descriptor, like)]
    parts: Any = getattr(descriptor, "parts", None)
    if isinstance(descriptor, SO4):
        return [of_so4(descriptor, like)]
    if parts is None:
        return [whole(lambda a, s: descriptor.contract(a), descriptor.n_channels, descriptor.n_features, like)]
    return [piece(module, descriptor.n_channels, like) for module in parts]


def of_so4(descriptor: SO4, like: Tensor) -> Piece:
    """Return one piece that knows its slopes."""
    if descriptor not in known_slopes:
        known_slopes[descriptor] = TripleSlopes(descriptor.products)
    slopes = known_slopes[descriptor].to(like)
    every, n_sums = torch.arange(descriptor.n_channels), descriptor.own.shape[1]
    support = torch.ones(n_sums, descriptor.n_features, dtype=torch.bool)
    none = like.new_zeros(0, descriptor.n_channels)
    return Piece(
        lambda a, s: descriptor.contract(a),
        every[:n_sums],
        every[:0],
        none,
        support,
        lambda a: slopes(descriptor.whole(a)[0]),
    )


def concatenated(descriptor: Concatenate, like: Tensor) -> list[Piece]:
    """Return the pieces of all, each with its own columns of the density."""
    out: list[Piece] = []
    first: Any = 0
    members: Any = descriptor.descriptors
    for member in members:
        last = first + member.n_channels
        out += [shifted(p, slice(first, last), descriptor.n_channels) for p in feature_pieces(member, like)]
        first = last
    return out


def shifted(inner: Piece, own: slice, n_channels: int) -> Piece:
    """Return a piece of a longer density, of which it takes the columns `own`."""
    tangents = inner.tangents.new_zeros(len(inner.tangents), n_channels)
    tangents[:, own] = inner.tangents
    slopes = inner.slopes
    return inner._replace(
        local=lambda a, s: inner.local(a[:, own], s),
        channels=inner.channels + own.start,
        tangents=tangents,
        slopes=None if slopes is None else lambda a: slopes(a[:, own]),
    )


def selected(descriptor: Select, like: Tensor) -> list[Piece]:
    """Return the pieces with the columns that are kept; pieces without any are left out."""
    out: list[Piece] = []
    kept: Any = descriptor.kept
    first = 0
    for inner in feature_pieces(descriptor.descriptor, like):
        last = first + inner.support.shape[1]
        columns = kept[(kept >= first) & (kept < last)] - first
        if len(columns) > 0:
            out.append(narrowed(inner, columns))
        first = last
    return out


def narrowed(inner: Piece, columns: Tensor) -> Piece:
    """Return a piece with some of its columns."""
    slopes = inner.slopes
    return inner._replace(
        local=lambda a, s: inner.local(a, s)[:, columns],
        support=inner.support[:, columns],
        slopes=None if slopes is None else lambda a: slopes(a)[..., columns],
    )


def projected(descriptor: Projection, like: Tensor) -> Piece:
    """Return one piece: the slopes of the features, times the matrix."""
    inner = feature_pieces(descriptor.descriptor, like)
    matrix: Any = descriptor.matrix
    blocks = matrix.to(like).split([p.support.shape[1] for p in inner])

    def slopes(density: Tensor) -> Tensor:
        out = density.new_zeros(density.shape[0], descriptor.n_channels, descriptor.n_features)
        nothing = torch.zeros(density.shape[0], dtype=torch.int64)
        for p, block in zip(inner, blocks, strict=True):
            out[:, p.channels] += column_slopes(p, density, nothing) @ block
        return out

    every = torch.arange(descriptor.n_channels)
    support = torch.ones(descriptor.n_channels, descriptor.n_features, dtype=torch.bool)
    none = like.new_zeros(0, descriptor.n_channels)
    return Piece(lambda a, s: descriptor.contract(a), every, every[:0], none, support, slopes)
