"""The bridge to a page: an answer is not lost, an error is told, and nothing is waited for without end."""

from typing import Any

import pytest

from tests.browsing import evaluate

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(browser: Any) -> Any:
    return browser()


def test_an_answer_comes_back_with_its_argument(page: Any) -> None:
    assert evaluate(page, "async ([a, b]) => { await null; return { sum: a + b }; }", [2, 3]) == {"sum": 5}
    assert evaluate(page, "() => undefined") is None
    assert evaluate(page, "() => false") is False


def test_what_a_script_throws_is_told(page: Any) -> None:
    with pytest.raises(RuntimeError, match="no such door"):
        evaluate(page, "async () => { throw new Error('no such door'); }")


def test_a_promise_that_nobody_answers_ends_in_a_timeout(page: Any) -> None:
    # Chromium collects such a promise; a page that was asked to await it would then answer with an error of its own
    with pytest.raises(TimeoutError, match=r"no answer within 0\.3 s"):
        evaluate(page, "() => new Promise(() => {})", seconds=0.3)
