"""Activities and subjects as a person writes them."""

from __future__ import annotations

import pytest

from wban_dataset.recording.activities import PRESETS, known_activity, slug, subject_id


def test_both_lists_of_the_paper_are_known():
    abstract = ("eating", "sleeping", "staying", "standing", "sitting")
    assert PRESETS["paper"] == (*abstract, "speak_and_walk", "speaking", "walking")


@pytest.mark.parametrize("text", ["speak_and_walk", "Speak and walk", " speak-and  walk "])
def test_spaced_form_is_accepted(text):
    assert known_activity(text, PRESETS["paper"]) == "speak_and_walk"


def test_unknown_activity_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown activity 'eatng': did you mean 'eating'\?"):
        known_activity("eatng", PRESETS["paper"])


@pytest.mark.parametrize("text", ["", "../x", "é", "a" * 65, "a/b", "_"])
def test_unusable_activity_is_refused(text):
    with pytest.raises(ValueError, match="not a usable name"):
        slug(text)


@pytest.mark.parametrize("subject", ["S01", "a", "0-a", "x" * 32])
def test_usable_subject(subject):
    assert subject_id(subject) == subject


@pytest.mark.parametrize("subject", ["../x", "", "x" * 300, "-a", "a b", "S01\n", "é"])
def test_unusable_subject_is_refused_in_one_short_sentence(subject):
    with pytest.raises(ValueError, match="not a usable id") as error:
        subject_id(subject)
    assert len(str(error.value)) < 200
