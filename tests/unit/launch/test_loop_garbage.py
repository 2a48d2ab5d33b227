"""What the garbage collector is told of a service that has started."""

from __future__ import annotations

import gc

from outlastd.launch.loop import run_services, started


def test_what_the_start_has_loaded_is_left_alone_while_the_service_runs() -> None:
    """It lives as long as the process; what comes after it, the program's too, is collected again as ever."""

    async def serve() -> int:
        started()
        return gc.get_freeze_count()

    assert run_services(serve) > 0
    assert gc.get_freeze_count() == 0


def test_what_the_program_has_frozen_itself_stays_frozen() -> None:
    """It did so before it called ``run()``, and counts on it afterwards."""

    async def serve() -> None:
        started()

    gc.freeze()
    try:
        run_services(serve)
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
