"""Greedy search and beam search for translations, with one model or an ensemble."""

from rnnexp.decoding.beam import beam_search
from rnnexp.decoding.greedy import greedy_search
from rnnexp.decoding.hypotheses import Hypotheses, Limits, require_search

__all__ = ["Hypotheses", "Limits", "beam_search", "greedy_search", "require_search"]
