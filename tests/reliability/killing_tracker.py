"""The process that records a rehearsal, and kills its driver in the middle of it."""

import sys

import rehearsal

from wordlength.search.tracking import serve

if __name__ == "__main__":
    rehearsal.kill_at(sys.argv[1])
    serve.main(*map(int, sys.argv[2:]))
