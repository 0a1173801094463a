# SPDX-License-Identifier: MIT
"""The breakers that haltable ships, one a file; none knows another.

They are plain decisions over an iteration's numbers and the answers to their
own questions: no I/O, no clock, no store.
"""
