"""`evalkit push RUN --to ORG/NAME`: a run's files into a data set of the Hub, in one commit.

RUN_NAME/results.json, RUN_NAME/metrics.csv and, if asked, RUN_NAME/samples/TASK.parquet, which the Hub's viewer shows:
the data set's card names each as a configuration. The journal stays here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.publish import card
from evalkit.publish.figures import name_of, plain_name, results_table
from evalkit.publish.sinks import Published, Sink
from evalkit.store.files import safe_name
from evalkit.text.secrets import mask_text

SETTINGS = frozenset({"repo", "samples", "private"})
BEGIN, END = "<!-- evalkit: {} -->", "<!-- evalkit: end of {} -->"


def log(run: Published, settings: Mapping[str, str], samples: bool) -> str:
    """As `push`, for --log-to hub:ORG/NAME."""
    if "repo" not in settings:
        raise UserError("--log-to hub: to which data set? hub:ORG/NAME")
    with_samples = samples or _true(settings.get("samples", "false"))
    return f"hub: {push(run, settings['repo'], with_samples, _true(settings.get('private', 'true')))}"


def push(run: Published, repo: str, samples: bool = False, private: bool = True) -> str:
    """Write the run into the data set ``repo``, which is made if it is not there (``private`` or public; one that is
    there stays as it is). The same run again replaces its files. Returns the address. UserError in one line for what
    the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise UserError(f"{repo}: a data set of the Hub is called ORG/NAME")
    folder = plain_name(name_of(run.result)).replace(" ", "_")
    files: dict[str, Any] = {
        f"{folder}/results.json": run.path / "results.json",
        f"{folder}/metrics.csv": results_table(run).to_csv(index=False).encode(),
    }
    tables = {task: f"{folder}/samples/{safe_name(task)}.parquet" for task in run.tasks if samples}
    for task, place in tables.items():
        source = run.path / "samples" / f"{safe_name(task)}.parquet"
        if not source.is_file():
            raise UserError(f"{run.path}: there are no samples of {task} to push: leave --samples out")
        files[place] = source
    api = HfApi()
    try:
        made = api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        files["README.md"] = _readme(api, repo, run, folder, tables).encode()
        operations = [
            CommitOperationAdd(path, str(one) if not isinstance(one, bytes) else one) for path, one in files.items()
        ]
        api.create_commit(repo, operations, commit_message=f"Add {folder}", repo_type="dataset")
    except OfflineModeIsEnabled:
        raise UserError("the Hub cannot be reached: HF_HUB_OFFLINE is set") from None
    except Exception as error:  # of the Hub's client, which changes its HTTP library from version to version
        status = getattr(getattr(error, "response", None), "status_code", None)
        hint = ": log in with a token that may write: hf auth login, or HF_TOKEN" if status in (401, 403) else ""
        reason = mask_text(" ".join(str(error).split()))[:300]
        raise UserError(f"the Hub did not take {repo}: {type(error).__name__}: {reason}{hint}") from error
    return f"{made.url if hasattr(made, 'url') else made} ({len(files)} files in {folder}/)"


def _readme(api: Any, repo: str, run: Published, folder: str, tables: Mapping[str, str]) -> str:
    """The data set's card: its configurations and a section of each run, this run's written anew."""
    from huggingface_hub import DatasetCard, DatasetCardData

    there = api.file_exists(repo, "README.md", repo_type="dataset")
    found = DatasetCard.load(repo, repo_type="dataset") if there else None
    data: dict[str, Any] = found.data.to_dict() if found is not None else {"tags": ["evalkit", "evaluation"]}
    text = found.text if found is not None else "# Evaluation results\n"
    prefix = f"{folder}__"
    configs = [one for one in data.pop("configs", []) if not str(one["config_name"]).startswith(prefix)]
    configs += [
        {"config_name": f"{prefix}{safe_name(task)}", "data_files": [{"split": "latest", "path": path}]}
        for task, path in tables.items()
    ]
    if configs:
        data["configs"] = configs
    begin, end = BEGIN.format(folder), END.format(folder)
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2].lstrip("\n")
    table = card.section(run).replace(card.BEGIN, begin).replace(card.END, end)
    table = table.replace("## Evaluation", f"## {folder}")
    return f"---\n{DatasetCardData(**data).to_yaml()}\n---\n\n{before.strip()}\n\n{table}{after and chr(10) + after}"


def _true(text: str) -> bool:
    return text.strip().lower() in ("1", "true", "yes", "on")


SINK = Sink(log, "repo", SETTINGS)
