"""Commands of the pages that no test of the pages runs, and why; in the others, what small things stand for large."""

NOT_RUN = {
    "make install": "installs an environment",
    "make demo": "installs an environment; the demo study itself is launched by its own command",
    "make test": "runs these tests",
    "make test-studies": "has a job of its own in CI",
    "make test-docs": "runs these tests",
    "make test-browser": "has a job of its own in CI",
    "make test-fpga": "has a job of its own in CI",
    "make test-reliability": "has a job of its own in CI",
    "make soak": "takes hours",
    "make check": "runs before these tests",
    "make format": "rewrites the sources",
    "make docs": "tests/docs/test_site.py builds the site",
    "make dist": "is a part of `make smoke`",
    "make smoke": "has a job of its own in CI",
    "make licences": "rewrites a page; tests/release holds it to what is installed",
    ".venv/bin/pytest *": "runs tests from within a test",
    "wordlength ui *": "serves until Ctrl-C; tests/search/test_ui.py opens it",
    "wordlength submit *": "needs a cluster; tests/cluster has one",
    "wordlength job *": "needs a cluster; tests/cluster has one",
    "wordlength retrain klein --pick max-bytes=236506B *": "four retrainings; with two picks it runs in the README",
    "sudo apt-get install postgresql": "changes the machine",
    "export PGPASSWORD=*": "sets a shell's variables to what only its reader knows",
    "ray *": "needs a cluster; tests/cluster has one",
    "ssh HEAD *": "needs a cluster; tests/cluster has one",
    ". ~/wordlength-venv/bin/activate": "an environment on the cluster's head",
    "pip install 'wordlength[[]fpga]'": "changes the environment; the extra's name is checked",
    "python best/hls4ml/check.py*": "compiles for half a minute; tests/fpga runs it",
    "python3.10 -m venv build/autoqkeras-venv": "benchmarks, which take hours",
    "build/autoqkeras-venv/bin/pip *": "benchmarks, which take hours",
    ".venv/bin/python benchmarks/time_to_front.py *": "benchmarks, which take hours",
}
"""Patterns as of fnmatch, of the whole command → the reason."""

ADDED = {
    "launch": ["--no-ui"],  # No server beside each of them.
    "export": ["--no-verify", "--vectors", "20"],  # `verify` does it all again.
    "verify": ["--no-fpga"],  # The C simulation is compiled by tests/fpga.
    "retrain": ["--epochs", "1"],
    "subset": ["--formats", "5"],
    "restore": ["--as", "restored"],  # The study itself is here.
}
"""Commands → options that keep them short."""

ONE_STUDY = ("demo", "nicodemo", "nicodemo_builtin", "nilsson", "bring_your_own", "gru2", "other-study", "STUDY")
"""The pages' studies for which `klein` stands; tests/search launches small ones of their kinds:
test_virtual_bit_shift_study.py, test_score_study.py, test_bring_your_own.py."""

STAND_INS = {"trial=24": "trial=0", "nicodemo.tar.gz": "klein.tar.gz", **dict.fromkeys(ONE_STUDY, "klein")}
"""Words of commands → what is run in their place; so for study files of these names."""
