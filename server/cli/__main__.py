"""`python -m server.cli`, for where the console script is not on the path."""

from server.cli.root import main

main()
