"""A recording that cannot begin, or begins without a chip."""

from __future__ import annotations

from tests.faults import boot_scenarios


def test_without_a_required_chip_it_is_refused_in_a_sentence_and_nothing_is_left():
    outcome = boot_scenarios.required_chip_missing()
    assert outcome.refusal.startswith("MPU-6050 at I2C address 0x68: nobody answers.")
    assert outcome.left_over == ()


def test_a_chip_that_is_not_required_is_recorded_from_when_it_appears():
    outcome = boot_scenarios.optional_chip_late()
    assert outcome.refusal == ""
    assert outcome.wrong == ()
    assert outcome.appeared_s is not None
    # At most 5 s until it is asked again; the EEPROM; two subpages of the power-on settings.
    assert 0 < outcome.appeared_s < 5 + 0.5 + 1.5
    assert outcome.n_rows["accel"] > 29 * 100 * 0.99


def test_an_eeprom_that_is_not_that_of_the_day_before_is_refused_and_named():
    outcome = boot_scenarios.other_eeprom()
    assert "1 of 832 EEPROM words differ from the copy" in outcome.refusal
    assert outcome.left_over == ()


def test_where_it_is_not_required_the_others_are_recorded_without_it():
    outcome = boot_scenarios.other_eeprom(boot_scenarios.optional("thermal"))
    assert outcome.refusal == ""
    assert set(outcome.n_rows) == {"accel", "gyro", "infrared"}
    assert outcome.wrong == ()
