"""The documentation's site: what of it is made of code, and how all of it becomes HTML.

`python -m docs.site` builds it; the pages that people write are beside this package.
"""
