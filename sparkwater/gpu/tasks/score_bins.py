"""Scores in bins, by which ranks add up what areas under curves follow from.

A bin holds the weight of the rows whose scores it covers; rows of one bin count as ties. Two kinds of bins: by the
first bits of a float, as fine for large scores as for small ones in proportion, and by equal steps of log-odds.
"""

from __future__ import annotations

import torch

#: Bins by floats: scores are told apart by their first 16 bits.
FLOAT_BINS = 1 << 16

#: Log-odds are told apart in steps of 1 / 64, up to 16 and down to -16.
_STEPS, _REACH = 64, 16

#: Bins by log-odds.
ODDS_BINS = 2 * _STEPS * _REACH

#: Of more classes, and of more labels of which a row may have several, no areas are measured: each takes 32 KiB on
#: every rank.
MOST_RANKED_CLASSES, MOST_RANKED_LABELS = 200, 1000


def float_bins(scores: torch.Tensor) -> torch.Tensor:
    """Return a bin for each score, in the same order: its sign, its exponent and seven binary digits."""
    # Minus zero is zero; a float's bits, read as a whole number, order numbers of the same sign.
    bits = (scores.float() + 0.0).view(torch.int32) >> 16
    return torch.where(bits < 0, -1 - bits, bits + FLOAT_BINS // 2).long()


def lowest_scores(bins: torch.Tensor) -> torch.Tensor:
    """Return the lowest score that each bin by floats holds, float64."""
    above = bins - FLOAT_BINS // 2
    # Of scores below 0 the lowest is the one with the largest magnitude.
    magnitudes = torch.where(above < 0, ((-1 - above) << 16) | 0xFFFF, above << 16)
    values = magnitudes.int().view(torch.float32).double()
    return torch.where(above < 0, -values, values)


def odds_bins(odds: torch.Tensor) -> torch.Tensor:
    """Return a bin for each of some log-odds; those beyond the reach are in the outer ones, NaN in a middle one."""
    return ((odds.nan_to_num(nan=0.0) + _REACH) * _STEPS).clamp(0, ODDS_BINS - 1).long()


def areas(negative: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """Return areas under ROC curves: shares of the pairs of rows that scores put in order, where ties count half.

    Parameters
    ----------
    negative, positive : torch.Tensor
        Weights of the rows of both kinds, ``(..., bins)``, scores ascending.

    Returns
    -------
    torch.Tensor
        ``(...)``, NaN where there are rows of one kind only.
    """
    below = negative.cumsum(dim=-1) - negative / 2
    return (positive * below).sum(dim=-1) / (positive.sum(dim=-1) * negative.sum(dim=-1))
