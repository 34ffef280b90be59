import pytest

from evalkit.contract.errors import UserError
from evalkit.spec import values


def test_limit_takes_counts_shares_and_random_draws():
    assert values.limit("--limit", "20") == (20.0, False)
    assert values.limit("--limit", "0.1") == (0.1, False)
    assert values.limit("--limit", "50:random") == (50.0, True)
    assert values.limit("--limit", "1") == (1.0, False)


@pytest.mark.parametrize("text", ["0", "-3", "nan", "inf", "many", "2.5", "5:shuffled", ""])
def test_limit_refuses_what_is_no_limit(text):
    with pytest.raises(UserError, match="--limit"):
        values.limit("--limit", text)


def test_the_last_of_lm_evals_seeds_governs_fewshot_draws():
    assert values.seed("--seed", "7") == 7
    assert values.seed("--seed", "0,1234,1234,99") == 99
    assert values.seed("--seed", "0,None,8") == 1234


@pytest.mark.parametrize("text", ["x", "1,2", "0,1,2,None", "1,2,3,4,5"])
def test_seed_refuses_the_rest(text):
    with pytest.raises(UserError, match="--seed"):
        values.seed("--seed", text)


def test_key_values_read_python_literals_and_json():
    text = "pretrained=org/model,dtype=float32,max_length=2048,until=['a,b', 'c'],do_sample=False"
    assert values.key_values("--model-args", text) == {
        "pretrained": "org/model",
        "dtype": "float32",
        "max_length": 2048,
        "until": ["a,b", "c"],
        "do_sample": False,
    }
    assert values.key_values("--model-args", '{"a": [1, 2], "b": null}') == {"a": [1, 2], "b": None}
    assert values.key_values("--model-args", "path=http://host/v1?a=b") == {"path": "http://host/v1?a=b"}


@pytest.mark.parametrize("text", ["float32", "a=1,b", "=3", "{broken"])
def test_key_values_names_the_broken_part(text):
    with pytest.raises(UserError, match="--model-args"):
        values.key_values("--model-args", text)


def test_values_are_never_evaluated():
    text = "x=__import__('os').getcwd()"
    assert values.key_values("--model-args", text) == {"x": "__import__('os').getcwd()"}


def test_batch_size_auto_with_lm_evals_count_is_auto():
    assert values.batch_size("--batch-size", "auto:4") == "auto"
    assert values.batch_size("--batch-size", "16") == 16
    with pytest.raises(UserError, match="--batch-size"):
        values.batch_size("--batch-size", "big")
