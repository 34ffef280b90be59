"""Any task of lm-evaluation-harness on evalkit's backends, by lm-eval's own task code: ``--tasks lm_eval:NAME``."""

from evalkit.task.lm_eval.loading import Found, apart, available, rename, resolve

__all__ = ["Found", "apart", "available", "rename", "resolve"]
