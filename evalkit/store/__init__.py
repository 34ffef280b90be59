"""Run directories, journals and caches: the only readers and writers of what a run leaves behind."""

from evalkit.store.cache import Chained, ResponseCache
from evalkit.store.journal import Journal
from evalkit.store.rundir import RunDir, spec_changes
from evalkit.store.verify import Problem, verify

__all__ = ["Chained", "Journal", "Problem", "ResponseCache", "RunDir", "spec_changes", "verify"]
