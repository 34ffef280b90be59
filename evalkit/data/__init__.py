"""Where documents come from: the Hub, a mirror folder, bundled items, a generator; and making a mirror."""

from evalkit.data.fetch import Wanted, pull
from evalkit.data.mirror import MirrorSource
from evalkit.data.sources import GeneratedSource, HubSource, SampleSource, open_source

__all__ = ["GeneratedSource", "HubSource", "MirrorSource", "SampleSource", "Wanted", "open_source", "pull"]
