# SPDX-License-Identifier: MIT
"""Listeners for events, one a file.

A listener knows events and nothing else: no other listener, and no run.
"""
