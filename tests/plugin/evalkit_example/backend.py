"""A model that answers from a table in its arguments: {"France": "Paris"} answers any prompt that names France."""

import hashlib
import json
from collections.abc import Iterator, Sequence

from evalkit import EngineSpec, Generate, ModelInfo, ModelSpec, Request, Response


class Scripted:
    """Answers whole requests (a TextBackend of evalkit.contract.backend)."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = answers
        table = json.dumps(answers, sort_keys=True)
        fingerprint = hashlib.sha256(f"scripted:{table}".encode()).hexdigest()
        self.info = ModelInfo(name="scripted", backend="scripted", fingerprint=fingerprint, max_length=4096)

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        for index, request in enumerate(requests):
            yield index, self._answer(request)

    def _answer(self, request: Request) -> Response:
        if not isinstance(request, Generate):
            return Response(status="error", error="the scripted model only generates")
        question = request.context.rsplit("\n\n", 1)[-1]
        text = next((answer for word, answer in self.answers.items() if word in question), "I do not know")
        return Response(text=text, finish="stop", output_tokens=len(text.split()))

    def close(self) -> None:
        """Nothing is held."""


def load(model: ModelSpec, engine: EngineSpec) -> Scripted:
    """The backend's factory; --model_args are the table."""
    return Scripted({str(key): str(value) for key, value in model.args.items()})
