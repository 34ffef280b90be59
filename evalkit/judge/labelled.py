"""Texts that people labelled as supported by their source or not: the sets that graders are measured on.

Every set is read from a mirror (or the Hub) by its own id and field names; what has no usable label is left out and
counted. Items of one source are one cluster.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from evalkit.contract.errors import UserError
from evalkit.contract.grading import Claim
from evalkit.contract.registry import did_you_mean
from evalkit.contract.types import DatasetRef, DataSource

Row = Mapping[str, Any]


class Item(NamedTuple):
    """A claim with people's verdict; ``cluster`` names its source."""

    claim: Claim
    supported: bool
    cluster: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """A set's items, and how many were left out, by the reason."""

    name: str
    items: tuple[Item, ...]
    left_out: Mapping[str, int]


class _Skip(NamedTuple):
    reason: str


Found = Item | _Skip
Read = Callable[["_Reader"], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Where a set's rows come from."""

    source: DataSource

    def rows(self, id: str, config: str, split: str) -> Sequence[Row]:
        return self.source.load(DatasetRef(id, config, None), split)


def _qags(read: _Reader) -> Iterator[Found]:
    """QAGS (Wang et al. 2020, arXiv 2004.04228): three people say of each sentence whether the article supports it."""
    for config in ("cnndm", "xsum"):
        for number, row in enumerate(read.rows("W4ngatang/qags", config, "test")):
            for one in row["summary_sentences"]:
                votes = [vote["response"] == "yes" for vote in one["responses"]]
                yield _voted(Claim(row["article"], one["sentence"]), votes, f"{config}-{number}")


def _aggrefact(read: _Reader) -> Iterator[Found]:
    """AggreFact's error types (Tang et al. 2023, arXiv 2205.12854): a summary without an error is supported."""
    for config in ("cliff_error_types", "goyal21_error_types"):
        for row in read.rows("Liyan06/AggreFact", config, "test"):
            kind = str(row["error_type"]).strip()
            if kind in ("['noise']",):
                yield _Skip("noise")
                continue
            yield Item(Claim(row["doc"], row["summ"]), kind in ("", "correct", "[]"), f"{row['origin']}-{row['id']}")


def _wice(read: _Reader) -> Iterator[Found]:
    """WiCE's test claims (Kamoi et al. 2023, arXiv 2303.01432); one that is supported in part is not supported."""
    return _wice_of(read, "test")


def _wice_dev(read: _Reader) -> Iterator[Found]:
    return _wice_of(read, "dev")


def _wice_of(read: _Reader, split: str) -> Iterator[Found]:
    for row in read.rows("ryokamoi/wice", "claim", split):
        yield Item(
            Claim("\n".join(row["evidence"]), row["claim"]),
            row["label"] == "supported",
            str(row["meta"]["claim_title"]),
        )


def _xsum_factuality(read: _Reader) -> Iterator[Found]:
    """Maynez et al. 2020 (arXiv 2005.00661), is the summary factual by three people's vote? The set has no articles:
    these are AggreFact's, where it has them.
    """
    return _xsum(read, "xsum_factuality", lambda row: row["is_factual"] in ("yes", 1, "1"))


def _xsum_faithfulness(read: _Reader) -> Iterator[Found]:
    """The same summaries: faithful where most of three people mark no hallucination."""
    return _xsum(read, "xsum_faithfulness", lambda row: str(row["hallucination_type"]) in ("NULL", "", "None", "-1"))


def _xsum(read: _Reader, config: str, says_yes: Callable[[Row], bool]) -> Iterator[Found]:
    articles: dict[str, str] = {}
    for part in ("cliff_error_types", "goyal21_error_types"):
        for row in read.rows("Liyan06/AggreFact", part, "test"):
            if row["origin"] == "xsum":
                articles.setdefault(str(row["id"]), row["doc"])
    votes: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    summaries: dict[tuple[str, str], str] = {}
    for row in read.rows("google-research-datasets/xsum_factuality", config, "train"):
        key = str(row["bbcid"]), row["system"]
        # One of a person's spans is enough to make it unfaithful.
        person = str(row["worker_id"])
        votes[key][person] = votes[key].get(person, True) and says_yes(row)
        summaries[key] = row["summary"]
    for key, given in votes.items():
        if key[0] not in articles:
            yield _Skip("no article")
            continue
        yield _voted(Claim(articles[key[0]], summaries[key]), list(given.values()), key[0])


def _faithdial(read: _Reader) -> Iterator[Found]:
    """Dziri et al. 2022 (arXiv 2204.07931): replies in dialogues by the labels of BEGIN. Entailed is supported, also
    where the reply is uncooperative; any hallucination is not. Generic replies say nothing, and are left out.
    """
    systems = {
        "ctrl": ("ctrl-ctrl_processed_cmu", "ctrl-ctrl_processed_topicalchat", "ctrl-ctrl_processed_wow"),
        "doha": ("doha-doha_processed_cmu", "doha-doha_processed_topical", "doha-doha_processed_wow"),
        "gpt2": ("gpt2-gpt2_processed_cmu", "gpt2-gpt2_processed_topical", "gpt2-gpt2_processed_wow"),
        "response": ("gold-cmu", "gold-topical", "gold-wow"),
    }
    for field, configs in systems.items():
        for config in configs:
            for row in read.rows("McGill-NLP/faithdial-audit", config, "test"):
                label = str(row.get("begin_label", row.get("BEGIN")) or "").lower()
                knowledge = str(row.get("knowledge", row.get("evidence")))
                if "hallucinat" in label:
                    yield Item(Claim(knowledge, row[field]), False, knowledge)
                elif label.startswith("entailment"):
                    yield Item(Claim(knowledge, row[field]), True, knowledge)
                else:
                    yield _Skip(label or "no label")


def _halueval_qa(read: _Reader) -> Iterator[Found]:
    """HaluEval's questions (Li et al. 2023, arXiv 2305.11747): the right answer, and one that a model made up."""
    for row in read.rows("pminervini/HaluEval", "qa", "data"):
        for field, label in (("right_answer", True), ("hallucinated_answer", False)):
            yield Item(Claim(row["knowledge"], row[field], row["question"]), label, row["question"])


def _wiki_bio(read: _Reader) -> Iterator[Found]:
    """SelfCheckGPT's passages (Manakul et al. 2023, arXiv 2303.08896): a sentence is supported where people call it
    accurate; its source is the person's article.
    """
    for row in read.rows("potsawee/wiki_bio_gpt3_hallucination", "default", "evaluation"):
        for sentence, label in zip(row["gpt3_sentences"], row["annotation"], strict=True):
            yield Item(Claim(row["wiki_bio_text"], sentence), label == "accurate", str(row["wiki_bio_test_idx"]))


SETS: Mapping[str, Read] = {
    "qags": _qags,
    "aggrefact": _aggrefact,
    "wice": _wice,
    "wice_dev": _wice_dev,
    "xsum_factuality": _xsum_factuality,
    "xsum_faithfulness": _xsum_faithfulness,
    "faithdial-audit": _faithdial,
    "halueval_qa": _halueval_qa,
    "wiki_bio": _wiki_bio,
}
USUAL = ("qags", "aggrefact", "wice", "xsum_factuality", "faithdial-audit", "halueval_qa", "wiki_bio")
"""What a grader is validated on, unless a user says otherwise: the development split of WiCE is for fitting."""


def labelled(name: str, source: DataSource) -> Labelled:
    """A set by its name. UserError for an unknown one, and where its rows cannot be had."""
    if name not in SETS:
        raise UserError(f"there is no labelled set {name!r}{did_you_mean(name, SETS)}")
    try:
        found = list(SETS[name](_Reader(source)))
    except (KeyError, TypeError) as error:
        raise UserError(f"labelled set {name}: its rows lack a field ({error}); fetch the set again") from error
    items = tuple(one for one in found if isinstance(one, Item))
    if not items:
        raise UserError(f"labelled set {name}: none of its {len(found)} rows can be used")
    return Labelled(name, items, _counted(found))


def _counted(found: Iterable[Found]) -> dict[str, int]:
    return dict(Counter(one.reason for one in found if isinstance(one, _Skip)))


def _voted(claim: Claim, votes: Sequence[bool], cluster: str) -> Found:
    yes = sum(votes)
    return _Skip("no majority") if 2 * yes == len(votes) else Item(claim, 2 * yes > len(votes), cluster)
