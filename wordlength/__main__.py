"""`python -m wordlength`: the command line where its script is not on the path."""

from wordlength.search.cli import main

main()
