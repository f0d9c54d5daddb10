from deltas.training.examples import Labelled, Marked, Written, labels_of


def test_labels_are_sorted_and_occur_once() -> None:
    assert labels_of([Labelled("", "b"), Labelled("", "a"), Labelled("", "b")]) == ("a", "b")
    assert labels_of([Marked(["x", "y"], ["O", "B-p"])]) == ("B-p", "O")
    assert labels_of([Written("x", "y")]) == ()
