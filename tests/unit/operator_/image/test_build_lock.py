"""One build of an image at a time, without blocking builds of other images."""

from __future__ import annotations

import threading

from fedjob_operator.image.build_lock import build_lock


def test_second_build_of_an_image_waits_for_the_first() -> None:
    order: list[str] = []
    started = threading.Event()

    def second() -> None:
        started.set()
        with build_lock("r.test/a:1"):
            order.append("second")

    thread = threading.Thread(target=second)
    with build_lock("r.test/a:1"):
        thread.start()
        assert started.wait(10)
        with build_lock("r.test/a:2"):
            order.append("other image")
        order.append("first")
    thread.join(10)
    assert order == ["other image", "first", "second"]
