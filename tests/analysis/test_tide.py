"""Kinds of error, equal to tidecv 1.0.1."""

import numpy as np
import pytest

from keras_retinanet.analysis.matches import match
from keras_retinanet.analysis.tide import CAPTIONS, KINDS, find_errors

# tidecv 1.0.1 with its limit on detections lifted, in percent: AP, and by how much it rises, in the order of CAPTIONS
GOLDEN = {
    0: (21.423438808574176, 4.583287031389492, 15.14083145120501, 1.0061523330314657, 1.7098272509324453,
        5.477538737051233, 9.140403740684892, 30.061709706277313, 20.006388690745887),
    1: (23.96937704616721, 4.115890802134743, 15.587824431559262, 1.872943204762933, 0.9685016157695294,
        6.663965818203405, 7.256549936722578, 31.476167508288235, 17.62103697836502),
    2: (19.00263813909211, 6.15236137835517, 8.677696358838734, 1.8693012222666283, 0.7791298659440358,
        6.777500999047014, 10.736470165867615, 26.541916316353433, 21.5096051142545),
}  # fmt: skip
COUNTS = {0: (15, 54, 19, 35, 54, 38), 1: (25, 59, 22, 25, 62, 34), 2: (14, 51, 22, 28, 71, 49)}
WITH_REGIONS = (
    16.532373859101583, 4.881086327101773, 9.745518741315951, 2.068959153384757, 0.8784512113913932,
    5.975220582716034, 9.513027787267092, 29.01218059634396, 19.100234369351433,
)  # fmt: skip
ONE_CLASS = (
    16.318987297163943, 0.0, 19.14689419303425, 0.0, 1.3304185595562146, 7.653736525934722, 8.925288505393304,
    32.19586418798457, 17.238529877754623,
)  # fmt: skip


def in_percent(errors):
    return [100 * value for value in (errors.ap, *(errors.delta_ap[name] for name in CAPTIONS))]


@pytest.mark.parametrize("seed", GOLDEN)
def test_equals_tidecv(make_set, seed):
    errors = find_errors(match(*make_set(seed), "abc"))
    np.testing.assert_allclose(in_percent(errors), GOLDEN[seed], rtol=0, atol=1e-10)
    assert tuple(errors.counts[name] for name in KINDS) == COUNTS[seed]
    assert [int(row.sum()) for row in errors.class_counts.values()] == list(COUNTS[seed])


def test_ignore_regions_and_a_single_class(make_set):
    with_regions = find_errors(match(*make_set(3, share_of_regions=0.2), "abc"))
    np.testing.assert_allclose(in_percent(with_regions), WITH_REGIONS, rtol=0, atol=1e-10)
    one_class = find_errors(match(*make_set(4, num_classes=1), "a"))
    np.testing.assert_allclose(in_percent(one_class), ONE_CLASS, rtol=0, atol=1e-10)


def test_each_kind_by_hand(sample, found):
    """Two objects, found once right, and each kind of error once."""
    truth = sample((0, 0, 100, 100), (200, 0, 300, 100), (0, 200, 100, 300), labels=[0, 1, 0])
    boxes = [
        (0, 0, 100, 98), (0, 0, 100, 97), (200, 0, 300, 99), (150, 200, 250, 300), (0, 0, 100, 20), (200, 0, 300, 30),
    ]  # fmt: skip
    detections = found(*boxes, scores=[0.9, 0.8, 0.7, 0.6, 0.5, 0.4], labels=[0, 0, 0, 0, 0, 0])
    errors = find_errors(match([truth], [detections], "ab"))
    assert [KINDS[k] if k >= 0 else "" for k in errors.kind] == ["", "Dupe", "Cls", "Bkg", "Loc", "Both"]
    assert errors.is_missed.tolist() == [False, False, True]  # the second would be found by the right class
    assert errors.counts == {"Cls": 1, "Loc": 1, "Both": 1, "Dupe": 1, "Bkg": 1, "Miss": 1}
    assert errors.class_counts["Miss"].tolist() == [1, 0]
    # class 0 finds one of two boxes at precision 1: 51 of 101 recalls; class 1 none
    assert errors.ap == pytest.approx(51 / 101 / 2)
    assert errors.delta_ap["Cls"] == pytest.approx(0.5)
    assert errors.delta_ap["Miss"] == pytest.approx((1 - 51 / 101) / 2)


def test_detections_in_ignore_regions_are_not_errors(sample, found):
    truth = sample((0, 0, 100, 100), ignore=[True])
    errors = find_errors(match([truth], [found((10, 10, 50, 50), scores=[0.9])], "a"))
    assert errors.kind.tolist() == [-1]
    assert errors.counts["Bkg"] == 0


def test_nothing_at_all():
    errors = find_errors(match([], [], "a"))
    assert errors.ap == 0
    assert sum(errors.counts.values()) == 0
