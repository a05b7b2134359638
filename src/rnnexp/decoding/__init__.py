"""Translations found by a trained network: greedily, or by beam search, by one model or several."""

from rnnexp.decoding.beam import beam_search
from rnnexp.decoding.greedy import greedy_search
from rnnexp.decoding.hypotheses import Hypotheses, Limits, require_search

__all__ = ["Hypotheses", "Limits", "beam_search", "greedy_search", "require_search"]
