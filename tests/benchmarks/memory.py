"""Whether a worker's memory stays flat, however much it delivers.

Run it alone: ``python tests/benchmarks/memory.py --count 1000000 --database postgresql``.
"""

from __future__ import annotations

import statistics
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import workplace

SENTENCE = (
    "Resident memory of a process with one worker that runs all the while, after each batch of "
    "deliveries; the slope is fitted to the second half, when all caches are full."
)


def main() -> None:
    """Deliver batch after batch, and print."""
    parser = workplace.parser(SENTENCE, count=100_000, batch=2000)
    options = parser.parse_args()
    if options.count < 4 * options.batch:
        parser.error("--count should be four times --batch at least: a slope needs points.")
    with workplace.database(options.database) as alias, workplace.sandbox() as url:
        from django.db import connections
        from django.test import override_settings

        from embedworkflow_django import services
        from embedworkflow_django.models import Execution, ExecutionEvent
        from embedworkflow_django.worker import Worker

        settings = {
            "SECRET_KEY": workplace.SECRET_KEY,
            "BASE_URL": url,
            "DISPATCHER": "worker",
            "POLL": (86400, 86400, 86400),
        }
        delivered, memory = [], []
        with override_settings(EMBEDWORKFLOW=settings):
            worker = Worker(aliases=[alias], interval=0.05)

            def work():
                try:
                    worker.run()
                finally:
                    connections.close_all()

            thread = threading.Thread(target=work)
            thread.start()
            waiting = threading.Event()
            for done in range(options.batch, options.count + 1, options.batch):
                services.execute_many([{"workflow": workplace.WORKFLOW}] * options.batch)
                while Execution.objects.queued().exists():
                    waiting.wait(0.05)
                delivered.append(done)
                memory.append(workplace.resident())
                ExecutionEvent.objects.all().delete()
                Execution.objects.all().delete()
            worker.stop()
            thread.join()
        half = len(memory) // 2
        slope = statistics.linear_regression(delivered[half:], memory[half:]).slope
    workplace.report(
        SENTENCE,
        [
            {
                "database": options.database,
                "deliveries": delivered[-1],
                "first MiB": memory[0] / 1024,
                "middle MiB": memory[half] / 1024,
                "last MiB": memory[-1] / 1024,
                "bytes each, second half": slope * 1024,
            }
        ],
        as_json=options.json,
    )


if __name__ == "__main__":
    main()
