"""What the files of `evalkit bench --format json` say that they are; boards know them by it."""

BENCH = "evalkit-bench"
SERVER_BENCH = "evalkit-server-bench"
