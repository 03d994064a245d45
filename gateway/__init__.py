"""Gengfu (更夫): the gateway daemon. ARCHITECTURE.md is the map of this package."""

__version__ = "0.1.0"
