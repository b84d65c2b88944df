"""Figures, beside a peer or the change by hand, in one run: as ratios, since machines are noisy."""
