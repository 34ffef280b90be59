import io

from rich.console import Console

from evalkit.runner import progress


def lines_of(monkeypatch, clock: list[float]) -> tuple[progress.Lines, io.StringIO]:
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    out = io.StringIO()
    return progress.Lines(Console(file=out, width=120)), out


def test_lines_come_every_five_seconds_with_rate_and_time_left(monkeypatch):
    clock = [100.0]
    lines, out = lines_of(monkeypatch, clock)
    lines.begin(1000, 200, None)
    for second in range(1, 11):
        clock[0] = 100.0 + second
        lines.advance(40)
    lines.end()
    lines.end()
    assert out.getvalue().splitlines() == [
        "answering 1,000 requests (200 already answered)",
        "400/1,000 requests (40 %), 40.0 requests/s, 0:05 elapsed, 0:15 left",
        "600/1,000 requests (60 %), 40.0 requests/s, 0:10 elapsed, 0:10 left",
        "600/1,000 requests (60 %), 40.0 requests/s, 0:10 elapsed, 0:10 left",
    ]


def test_where_tokens_are_known_they_are_the_measure(monkeypatch):
    clock = [0.0]
    lines, out = lines_of(monkeypatch, clock)
    lines.begin(4, 0, 10_000)
    clock[0] = 10.0
    lines.advance(1, 5_000)
    assert out.getvalue().splitlines() == [
        "answering 4 requests, 10,000 tokens to compute",
        "1/4 requests (25 %), 500.0 tokens/s, 0:10 elapsed, 0:30 left",
    ]
    clock[0] = 20.0  # all prompts are read, and answers still being written: two came in twenty seconds
    lines.advance(1, 5_000)
    assert out.getvalue().splitlines()[-1] == "2/4 requests (50 %), 500.0 tokens/s, 0:20 elapsed, 0:20 left"


def test_texts_that_are_still_being_written_count(monkeypatch):
    """Nearly all prompts are read long before the answers are there."""
    clock = [0.0]
    lines, out = lines_of(monkeypatch, clock)
    lines.begin(100, 0, 100_000)
    clock[0] = 10.0
    lines.advance(0, 99_000)
    assert out.getvalue().splitlines()[-1].endswith("0:10 elapsed"), "not one answer yet"
    clock[0] = 100.0
    lines.advance(10, 100)
    assert out.getvalue().splitlines()[-1].endswith("1:40 elapsed, 13:30 left")


def test_a_bar_says_the_time_left_too():
    out = io.StringIO()
    bars = progress.Bars(Console(file=out, force_terminal=True, width=120))
    bars.begin(10, 0, None)
    assert bars._bars is not None
    bars._bars.tasks[0].start_time -= 40
    bars.advance(8)
    for _ in range(1000):
        bars.advance(0)
    assert len(bars._left._past) == 2, "a sample a second, however often a run tells of itself"
    bars.end()
    assert "0:10 left" in out.getvalue()


def test_what_is_done_has_no_time_left(monkeypatch):
    clock = [0.0]
    lines, out = lines_of(monkeypatch, clock)
    lines.begin(10, 0, 1000)
    clock[0] = 10.0
    lines.advance(9, 900)
    clock[0] = 10.5
    lines.advance(1, 100)
    lines.end()
    assert out.getvalue().splitlines()[-1].endswith("0:10 elapsed")


def test_bars_on_a_terminal_lines_elsewhere_nothing_when_quiet():
    assert isinstance(progress.for_console(Console(file=io.StringIO(), force_terminal=True)), progress.Bars)
    assert isinstance(progress.for_console(Console(file=io.StringIO())), progress.Lines)
    assert isinstance(progress.for_console(Console(file=io.StringIO()), quiet=True), progress.Silent)


def test_a_bar_ends_full():
    out = io.StringIO()
    bars = progress.Bars(Console(file=out, force_terminal=True, width=120))
    bars.begin(10, 4, None)
    bars.advance(6)
    bars.end()
    assert "10/10 requests" in out.getvalue()
    assert "100 %" in out.getvalue()


def test_no_time_left_is_told_before_it_can_be_known(monkeypatch):
    clock = [0.0]
    lines, out = lines_of(monkeypatch, clock)
    lines.begin(4, 0, 1_000_000)
    clock[0] = 6.0
    lines.advance(1, 5_000)
    assert out.getvalue().splitlines()[-1] == "1/4 requests (25 %), 833.3 tokens/s, 0:06 elapsed"


def test_the_time_left_follows_the_pace_of_late(monkeypatch):
    clock = [0.0]
    lines, out = lines_of(monkeypatch, clock)
    lines.begin(200, 0, 100_000)
    for _ in range(60):  # scores: 60,000 tokens in a minute
        clock[0] += 1.0
        lines.advance(1, 1_000)
    for _ in range(60):  # texts: 100 tokens a minute of their prompts
        clock[0] += 60.0
        lines.advance(1, 100)
    assert out.getvalue().splitlines()[-1] == "120/200 requests (60 %), 18.0 tokens/s, 1:01:00 elapsed, 5:40:00 left"
