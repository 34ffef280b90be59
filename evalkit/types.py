"""The old place of evalkit.contract.types, for installed plug-ins."""

from evalkit.contract.moved import moved

__getattr__ = moved(__name__, "evalkit.contract.types")
