"""`python busy.py`: keeps a processor busy until its input ends."""

import sys
import threading


def main() -> None:
    """Spin in a thread that ends with the process."""
    threading.Thread(target=_spin, daemon=True).start()
    sys.stdin.read()


def _spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    main()
