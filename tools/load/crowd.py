"""Crowd of clients on a server that is capturing sound; prints whether samples were lost.

streamseg serve mic:… &
python -m tools.load.crowd --port 8765 --clients 1000 --stalled 100 --seconds 60
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.request

from tools.load.fan_out import Clients


def status(port: int) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=30) as answer:
        return json.load(answer)["streams"]


def crowd(options: argparse.Namespace) -> dict:
    """Subscribe many clients to all events, high-volume ones included; return what they and the server measured."""
    before, began = status(options.port), time.monotonic()
    clients = Clients(options.port, options.clients, options.stalled, options.subscribe)
    joined_s = time.monotonic() - began
    lags = []
    look = time.monotonic()
    until = look + options.seconds
    while time.monotonic() < until:
        clients.read(0.05)
        if time.monotonic() >= look:
            look += 5
            lags += [stream["lag_s"] for stream in status(options.port).values()]
    after, took = status(options.port), time.monotonic() - began
    clients.close()
    return {
        "clients": options.clients,
        "stalled": options.stalled,
        "joined_s": round(joined_s, 1),
        "received": clients.received,
        "received_per_s": round(clients.received / options.seconds),
        "closed": clients.closed,
        "heard_s": {name: round(after[name]["t"] - before[name]["t"], 2) for name in after},
        "took_s": round(took, 2),
        "most_lag_s": max(lags),
        "dropped_samples": {name: after[name]["dropped_samples"] for name in after},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--stalled", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--subscribe", nargs="+", default=["meter", "novelty", "boundary", "section"])
    print(json.dumps(crowd(parser.parse_args())))
