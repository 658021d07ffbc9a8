"""The part `replicas` of benches/run: one replica over three nats-servers, beside plain publishes to JetStream on the same
servers, in turns. All processes share the machine's processors, and the servers one disk."""

import contextlib
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time

SERVERS = 3
TURNS = 3  # How many times each is measured; the median counts.
PUBLISHERS = 64
START_SECONDS_MAX = 60
RUN_SECONDS_MAX = 300


@contextlib.contextmanager
def cluster(bench, process):
    """Servers that sync each message before they acknowledge it: their addresses, and the processes' ids."""
    with tempfile.TemporaryDirectory(prefix="chitchat-bench-") as folder, contextlib.ExitStack() as stack:
        ports = free_ports(2 * SERVERS)
        clients, routes = ports[:SERVERS], ports[SERVERS:]
        others = ", ".join(f"nats-route://127.0.0.1:{port}" for port in routes)
        pids = []
        for n, (port, route) in enumerate(zip(clients, routes)):
            config = os.path.join(folder, f"n{n}.conf")
            with open(config, "w") as file:
                file.write(f'server_name: n{n}\nlisten: "127.0.0.1:{port}"\n'
                           f'jetstream {{ store_dir: "{folder}/n{n}", sync_interval: always }}\n'
                           f'cluster {{ name: bench, listen: "127.0.0.1:{route}", routes: [{others}] }}\n')
            pids.append(stack.enter_context(process([bench.nats, "-c", config], stderr=subprocess.DEVNULL)).pid)
        for port in clients:
            wait_for(port)
        yield ",".join(f"nats://127.0.0.1:{port}" for port in clients), pids


def free_ports(count):
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in taken]


def wait_for(port):
    started = time.monotonic()
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if time.monotonic() - started > START_SECONDS_MAX:
            raise SystemExit("benches/run: a nats-server does not start")
        time.sleep(0.01)


def cpu_seconds(pids):
    """The user and system time of these processes."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measured(run, pids, messages):
    """What a run found, and the processor time of these processes for each message, in microseconds."""
    before = cpu_seconds(pids)
    found = run()
    return {"rate": found["publishes_per_second"], "p50": found["publish_ms"]["p50"], "p99": found["publish_ms"]["p99"],
            "cpu": (cpu_seconds(pids) - before) / messages * 1e6}


def measure(bench, process, service):
    """All runs: plain JetStream, one replica where each publisher has one publish in flight, and where it has 64."""
    counts = {"plain": 40_000, "one": 40_000, "ahead": 100_000}
    counts = {name: count // 10 if bench.quick else count for name, count in counts.items()}
    runs = {name: [] for name in counts}
    with cluster(bench, process) as (urls, servers), \
            service(bench, None, "--replicate", urls, "--replica-name", "a") as one:

        def plain():
            command = [bench.jetstream, urls, str(PUBLISHERS), str(counts["plain"])]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=RUN_SECONDS_MAX)
            return json.loads(done.stdout)

        def load(name, in_flight):
            return bench.load(one, participants=PUBLISHERS, publishers=PUBLISHERS, messages=counts[name],
                              in_flight=in_flight, no_streams=True)

        for _ in range(TURNS):
            runs["plain"].append(measured(plain, servers, counts["plain"]))
            for name, in_flight in [("one", 1), ("ahead", 64)]:
                run = lambda: load(name, in_flight)
                runs[name].append(measured(run, [*servers, one.pid], counts[name]))
    return runs


def replicas(bench, process, service):
    runs = measure(bench, process, service)
    middle = {name: {what: statistics.median(run[what] for run in found) for what in found[0]}
              for name, found in runs.items()}
    head = f"{PUBLISHERS} publishers, three servers, R3, sync always"
    plain, one = middle["plain"], middle["one"]
    for name, what in [("plain", "plain JetStream"), ("one", "one replica"), ("ahead", "one replica, 64 in flight")]:
        found = middle[name]
        bench.add(f"{head}, {what}: publishes", found["rate"], "per s")
        if name == "one":
            bench.add(f"{head}, {what}: publishes to plain JetStream", one["rate"] / plain["rate"], "×", least=3)
        bench.add(f"{head}, {what}: publish p50", found["p50"], "ms")
        bench.add(f"{head}, {what}: publish p99", found["p99"], "ms")
        bench.add(f"{head}, {what}: CPU per publish, servers and replica", found["cpu"], "µs")
