from server.demo.data.mail import message_text

_HEADERS = "From someone Mon Jul  1 00:00:00 2002\nFrom: a@example.org\nSubject: {subject}\n"


def test_subject_and_words_are_kept() -> None:
    raw = _HEADERS.format(subject="Lunch") + "\nAt noon?\n\nSee you"
    assert message_text(raw) == "Lunch At noon? See you"


def test_list_tags_are_dropped() -> None:
    raw = _HEADERS.format(subject="Re: [ILUG] Re: kernels") + "\nYes."
    assert message_text(raw) == "kernels Yes."


def test_mark_up_is_dropped() -> None:
    raw = _HEADERS.format(subject="Win") + (
        "Content-Type: text/html\n\n<html><head><title>t</title></head><style>p {}</style>"
        "<body><!-- hidden --><p>Free&nbsp;money &amp; more</p></body></html>"
    )
    assert message_text(raw) == "Win Free money & more"


def test_the_plain_part_is_preferred() -> None:
    raw = _HEADERS.format(subject="Hi") + (
        "MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n\n"
        "--b\nContent-Type: text/html\n\n<p>marked</p>\n"
        "--b\nContent-Type: text/plain\n\nplain\n--b--\n"
    )
    assert message_text(raw) == "Hi plain"


def test_an_unknown_character_set_is_no_obstacle() -> None:
    raw = _HEADERS.format(subject="x") + 'Content-Type: text/plain; charset="DEFAULT"\n\nhello'
    assert message_text(raw) == "x hello"
