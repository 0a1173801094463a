# SPDX-License-Identifier: MIT
"""Circuit breakers for loops: every loop you wrap halts, for a reason you declared.

The face of the package and nothing else: each name has one home module, and is
fetched from there when it is first asked for.
"""

__version__ = "0.1.0"
