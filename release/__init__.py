"""What makes a release of this tree: the packages and what lies beside them.

Each module is one command of the Makefile's, run by an environment of its own, `.release`.
"""
