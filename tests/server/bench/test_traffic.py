from server.bench.traffic import Traffic


def test_the_mix_begins_anew_in_each_run_and_leaves_its_share_to_the_base() -> None:
    traffic = Traffic(["a", "b", "c"], bare=(False, False, True))
    assert traffic.mixed(8) == ["a", "b", "base", "c", "a", "base", "b", "c"]


def test_none_of_many_comes_again_before_all_others_came() -> None:
    many = [f"delta-{index}" for index in range(10)]
    traffic = Traffic([], many, bare=(False, True))
    turns = [traffic.spread(6, turn) for turn in range(10)]
    asked = [model for models in turns for model in models if model != "base"]
    assert len(asked) == 30
    assert asked == many * 3


def test_deltas_alone_are_asked_where_the_base_has_no_place() -> None:
    assert Traffic(["a", "b"]).mixed(3) == ["a", "b", "a"]
