"""The old place of evalkit.contract.errors, for installed plug-ins."""

from evalkit.contract.moved import moved

__getattr__ = moved(__name__, "evalkit.contract.errors")
