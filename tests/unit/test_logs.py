"""A job's log: its own lines, and those of the attempt before."""

import logging

from at4ramt.logs import start_log


def test_a_retry_keeps_the_log_that_says_why(tmp_path):
    path = tmp_path / "logs" / "round_01.log"
    for attempt in ("first", "second", "third"):
        start_log(path, "test").info("%s attempt", attempt)
    for handler in list(logging.getLogger("at4ramt").handlers):
        logging.getLogger("at4ramt").removeHandler(handler)
        handler.close()
    assert "third attempt" in path.read_text()
    assert path.read_text().count("\n") == 1
    assert "second attempt" in path.with_name("round_01.previous.log").read_text()
