import json
from pathlib import Path


def test_every_finding_that_is_accepted_has_its_reason() -> None:
    findings = json.loads((Path(__file__).parent / "findings.json").read_text())
    assert findings["entries"]
    for finding in findings["entries"]:
        assert finding["reason"].endswith("."), finding["operation"]
