import json
from pathlib import Path

from server.demo.data.split import Record, Split, balanced, distinct, drawn, first_words, split

_RECORDS: list[Record] = [{"input": f"text {number}", "label": "x"} for number in range(20)]


def test_parts_share_nothing() -> None:
    parts = split(_RECORDS, train=12, test=5)
    assert (len(parts.train), len(parts.test)) == (12, 5)
    assert not [record for record in parts.test if record in parts.train]


def test_the_draw_does_not_depend_on_the_order_of_the_files() -> None:
    assert drawn(_RECORDS) == drawn(reversed(_RECORDS))
    assert drawn(_RECORDS) != _RECORDS
    assert drawn(_RECORDS, seed=1) != drawn(_RECORDS)


def test_labels_are_equally_common_in_every_part() -> None:
    records: list[Record] = [
        {"input": str(number), "label": "rare" if number % 4 == 0 else "common"}
        for number in range(2000)
    ]
    parts = split(balanced(records), train=600, test=400)
    for part in (parts.train, parts.test):
        rare = sum(record["label"] == "rare" for record in part)
        assert 0.4 < rare / len(part) < 0.6


def test_near_repetitions_are_dropped() -> None:
    story = "the central bank has left interest rates unchanged for the sixth month in a row"
    revised = story.upper().replace("SIXTH", "seventh") + "."
    other = "the home side won the final after extra time and a goal by the captain"
    assert distinct([story, revised, other], str) == [story, other]


def test_short_texts_are_compared_whole() -> None:
    assert distinct(["turn it on", "Turn it on!", "turn it off"], str) == [
        "turn it on",
        "turn it off",
    ]


def test_parts_are_written_as_json_lines(tmp_path: Path) -> None:
    paths = split(_RECORDS, train=3, test=2).write(tmp_path / "new", "topic")
    assert [path.name for path in paths] == ["topic.train.jsonl", "topic.test.jsonl"]
    lines = paths[1].read_text().splitlines()
    assert [json.loads(line) for line in lines] == drawn(_RECORDS)[:2]


def test_another_source_has_a_file_of_its_own(tmp_path: Path) -> None:
    parts = Split(_RECORDS[:3], _RECORDS[3:5], {"sms": _RECORDS[5:9]})
    names = [path.name for path in parts.write(tmp_path, "spam")]
    assert names == ["spam.train.jsonl", "spam.test.jsonl", "spam.sms.jsonl"]
    assert len((tmp_path / "spam.sms.jsonl").read_text().splitlines()) == 4


def test_first_words_squeezes_space() -> None:
    assert first_words(" a\n b  c d", 3) == "a b c"
