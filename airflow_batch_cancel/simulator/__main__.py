"""``python -m airflow_batch_cancel.simulator``: a local AWS Batch over HTTP."""

from __future__ import annotations

import argparse

from airflow_batch_cancel.simulator import BatchSimulator, VirtualClock
from airflow_batch_cancel.simulator.server import listen, make_server


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m airflow_batch_cancel.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--rate", type=float, default=1.0, help="how many seconds pass in one (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of job ids and faults (%(default)s)")
    parser.add_argument("--scenario", help="a named world, or a JSON file with one")
    parser.add_argument(
        "--visibility-lag", type=float, default=0.0, help="seconds until a job shows (%(default)s)"
    )
    arguments = parser.parse_args()
    sim = BatchSimulator(
        seed=arguments.seed,
        clock=VirtualClock(arguments.rate),
        visibility_lag=arguments.visibility_lag,
    )
    if arguments.scenario:
        sim.load(arguments.scenario)
    listener, url = listen(arguments.host, arguments.port)
    print(f"Listening on {url}", flush=True)
    make_server(sim).run(sockets=[listener])


if __name__ == "__main__":
    main()
