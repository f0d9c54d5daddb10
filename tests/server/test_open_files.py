import resource
import subprocess
import sys

import pytest

LOOK = """
import resource, sys
from server.system.open_files import connections_within
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
print(connections_within(2048), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "fitting", "raised"),
    [
        (300, 400, 200, 400),
        (300, 600, 344, 600),
        (1024, 4096, 2048, 2304),
        (4096, 4096, 2048, 4096),
        (100, 100, 50, 100),
    ],
)
def test_the_limit_on_open_files_is_raised_as_far_as_it_may_be(
    soft: int, hard: int, fitting: int, raised: int
) -> None:
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < hard:
        pytest.skip("this process may not open so many files")
    command = [sys.executable, "-c", LOOK, str(soft), str(hard)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found.split() == [str(fitting), str(raised)]
