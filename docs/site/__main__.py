"""`python -m docs.site`: build the site and say where it is."""

import sys

from docs.site.build import ROOT, BuildError, build

if __name__ == "__main__":
    try:
        found = build(ROOT / "build" / "docs")
    except BuildError as error:
        sys.exit(str(error))
    print(f"The site is {found.relative_to(ROOT)}/index.html")  # noqa: T201
