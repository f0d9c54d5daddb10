from random import Random

from tests.soak.slope import Slope

TIMES = [second / 60 for second in range(300)]


def test_what_grows_is_told_by_how_much() -> None:
    random = Random(0)
    slope = Slope.of(TIMES, [500 + 2 * time + random.gauss(0, 0.5) for time in TIMES])
    assert slope.grows
    assert abs(slope.value - 2) < 4 * slope.error


def test_noise_and_what_falls_do_not_grow() -> None:
    random = Random(0)
    assert not Slope.of(TIMES, [500 + random.gauss(0, 5) for _ in TIMES]).grows
    assert not Slope.of(TIMES, [500 - time for time in TIMES]).grows
    assert not Slope.of(TIMES, [500.0 for _ in TIMES]).grows


def test_a_step_in_the_middle_is_not_sure_to_be_growth_by_its_many_samples() -> None:
    few, many = (
        Slope.of(
            [time / each for time in range(each)],
            [float(time // (each // 4) % 2) for time in range(each)],
        )
        for each in (100, 10_000)
    )
    assert abs(few.error - many.error) < 0.1 * many.error
