"""`fedjob cancel`: asks, unless it was given --yes."""

import json

from fedjob.cli.commands.cluster import cancel


def test_nothing_is_deleted_without_an_answer(fedjob, fake):
    fake.put("digits")
    called = fedjob("cancel", "digits")
    assert called.code == 2
    assert "give --yes" in called.err
    assert len(fake.jobs) == 1


def test_yes_deletes(fedjob, fake):
    fake.put("digits")
    assert fedjob("cancel", "digits", "--yes").out == "team/digits deleted\n"
    assert fake.jobs == {}


def test_question_names_the_run(fedjob, fake, status, monkeypatch):
    asked = []
    monkeypatch.setattr(cancel, "_confirmed", lambda question: asked.append(question) or True)
    fake.put("digits", status=status["running"]())
    assert fedjob("cancel", "digits").code == 0
    assert asked == ["Delete team/digits (Training, round 2/5, clients 2/2, val_accuracy 0.9)?"]


def test_json_and_errors(fedjob, fake):
    assert json.loads(fedjob("cancel", "digits", "-y", "--json").out)["exitCode"] == 2
    fake.put("digits")
    assert json.loads(fedjob("cancel", "digits", "-y", "--json").out)["deleted"] is True
