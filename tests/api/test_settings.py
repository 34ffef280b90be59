"""The keywords of `evalkit.evaluate` are the settings of a configuration file, no more and no fewer."""

import inspect

import evalkit
from evalkit.api.settings import Settings
from evalkit.spec.table import ALIASES, SETTINGS

OWN = {"model", "tasks", "resume", "progress", "settings"}
"""Parameters that are no settings of a file, or are given by position."""


def test_every_setting_is_a_keyword():
    named = set(inspect.signature(evalkit.evaluate).parameters) - OWN | set(Settings.__annotations__)
    settings = set(SETTINGS) - OWN
    assert settings <= named
    assert {ALIASES.get(one, one) for one in named} == settings
