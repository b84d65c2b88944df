"""Measurements of kvmnet beside another tool or a change by hand, in one run and as ratios, because machines are
noisy."""
