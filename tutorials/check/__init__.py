"""Checks of the pages' exercises: `check.exercise_2_2(my_pool, my_pool_backward)` says where an answer is wrong."""

from check.compare import AnswerError
from check.page_00 import exercise_0_1, exercise_0_2, exercise_0_3
from check.page_00b import exercise_0b_1, exercise_0b_2, exercise_0b_3, exercise_0b_4
from check.page_01 import exercise_1_1, exercise_1_2, exercise_1_3, exercise_1_4
from check.page_02 import exercise_2_1, exercise_2_2, exercise_2_3, exercise_2_4
from check.page_03 import exercise_3_1, exercise_3_2, exercise_3_3, exercise_3_4
from check.page_04 import exercise_4_1, exercise_4_2, exercise_4_3, exercise_4_4
from check.page_05 import exercise_5_1, exercise_5_2, exercise_5_3, exercise_5_4
from check.page_06 import exercise_6_1, exercise_6_2, exercise_6_3, exercise_6_4, exercise_6_5
from check.page_07 import exercise_7_1, exercise_7_2, exercise_7_3
from check.page_08 import exercise_8_1, exercise_8_2, exercise_8_3, exercise_8_4, exercise_8_5
from check.page_09 import exercise_9_1, exercise_9_2, exercise_9_3, exercise_9_4, exercise_9_5
from check.page_10 import exercise_10_1, exercise_10_2, exercise_10_3, exercise_10_4, exercise_10_5, exercise_10_6
from check.page_11 import exercise_11_1, exercise_11_2, exercise_11_3, exercise_11_4

__all__ = [
    "AnswerError",
    "exercise_0_1",
    "exercise_0_2",
    "exercise_0_3",
    "exercise_0b_1",
    "exercise_0b_2",
    "exercise_0b_3",
    "exercise_0b_4",
    "exercise_1_1",
    "exercise_1_2",
    "exercise_1_3",
    "exercise_1_4",
    "exercise_2_1",
    "exercise_2_2",
    "exercise_2_3",
    "exercise_2_4",
    "exercise_3_1",
    "exercise_3_2",
    "exercise_3_3",
    "exercise_3_4",
    "exercise_4_1",
    "exercise_4_2",
    "exercise_4_3",
    "exercise_4_4",
    "exercise_5_1",
    "exercise_5_2",
    "exercise_5_3",
    "exercise_5_4",
    "exercise_6_1",
    "exercise_6_2",
    "exercise_6_3",
    "exercise_6_4",
    "exercise_6_5",
    "exercise_7_1",
    "exercise_7_2",
    "exercise_7_3",
    "exercise_8_1",
    "exercise_8_2",
    "exercise_8_3",
    "exercise_8_4",
    "exercise_8_5",
    "exercise_9_1",
    "exercise_9_2",
    "exercise_9_3",
    "exercise_9_4",
    "exercise_9_5",
    "exercise_10_1",
    "exercise_10_2",
    "exercise_10_3",
    "exercise_10_4",
    "exercise_10_5",
    "exercise_10_6",
    "exercise_11_1",
    "exercise_11_2",
    "exercise_11_3",
    "exercise_11_4",
]
