"""The old place of evalkit.contract.backend, for installed plug-ins."""

from evalkit.contract.moved import moved

RENAMED = {
    "ScoreRow": "LoglikelihoodRow",
    "ScoreAnswer": "LoglikelihoodResult",
    "GenerateAnswer": "GenerateResult",
    "Answer": "RowResult",
    "Done": "OnResult",
    "carry_on": "no_op",
}
__getattr__ = moved(__name__, "evalkit.contract.backend", RENAMED)
