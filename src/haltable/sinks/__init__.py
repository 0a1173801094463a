# SPDX-License-Identifier: MIT
"""Listeners for events, one a file; none knows another, nor any run."""
