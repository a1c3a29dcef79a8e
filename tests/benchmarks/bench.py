# ruff: noqa: T201 - it prints a report
"""The detector beside what people would pick instead, and what it costs: `make bench`.

Writes build/bench.json (the keys of `BARS`), build/bench.md and build/bench.svg. docs/performance.md explains them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import chart
import cold
import money
import shards
import turns
from turns import OURS, PEERS, ROOT, Case, Measured

from stream_infra import names
from stream_infra.cdk.bundling import bundle

Json = dict[str, Any]

# key: whether more is better, and the bar
BARS = {
    "zscore_vs_bytewax": (True, 20.0),
    "zscore_vs_powertools": (True, 25.0),
    "zscore_vs_river": (True, 25.0),
    "zscore_vs_quix": (True, 40.0),
    "committed_vs_bytewax": (True, 10.0),
    "full_vs_bytewax_zscore": (True, 6.0),
    "naive_ratio": (True, 1500.0),
    "wcu_per_million": (False, 8_000.0),
    "usd_per_million_vs_naive": (False, 1 / 50),
    "usd_vs_flink_24x7": (False, 1 / 5),
    "per_tick_cost_50k_vs_500": (False, 1.5),
    "cold_import_vs_typical": (False, 0.5),
    "bundle_mb": (False, 55.0),
    "memory_mb_50k": (False, 512.0),
}
# What a quotient must be at 500 symbols, where an invocation has fewer ticks to share its cost.
BARS_AT_500 = {
    "zscore_vs_bytewax": 10.0,
    "zscore_vs_powertools": 12.0,
    "zscore_vs_river": 12.0,
    "zscore_vs_quix": 20.0,
    "committed_vs_bytewax": 4.0,
    "full_vs_bytewax_zscore": 3.0,
}
RATIOS = {
    "zscore_vs_bytewax": ("bytewax", "zscore"),
    "zscore_vs_powertools": ("powertools", "zscore"),
    "zscore_vs_river": ("river", "zscore"),
    "zscore_vs_quix": ("quix", "zscore"),
    "committed_vs_bytewax": ("bytewax", "committed"),
    "charted_vs_bytewax": ("bytewax", "charted"),
    "full_vs_bytewax_zscore": ("bytewax", "full"),
}
TITLES = {
    "bytewax": "Bytewax, z-score, nothing kept",
    "quix": "Quix Streams, z-score, state in memory",
    "river": "river, z-score, nothing kept",
    "powertools": "Powertools batch processor, z-score, dict",
    "naive": "read and write of DynamoDB a tick",
    "zscore": "this detector, z-score, nothing kept",
    "committed": "this detector, z-score, state committed",
    "charted": "this detector, z-score, state and charts",
    "full": "this detector, nine kinds, state and charts",
}
# symbols, polls in an invocation, polls in a round
SCALE = (
    Case(10, 5),
    Case(100, 5),
    Case(500, 5),
    Case(500, 20),
    Case(5000, 1),
    Case(5000, 5),
    Case(50_000, 1, 20),
)
SHARDS = (1, 2, 4, 8, 16, 32, 64)
WINDOW_SECONDS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of a minute of the market (5)")
    arguments = parser.parse_args()
    began = time.time()
    everyone = (*PEERS, *OURS)
    print("Comparing at 5,000 symbols …", flush=True)
    large = turns.compare(Case(5000, 5), everyone, arguments.rounds)
    print("Comparing at 500 symbols …", flush=True)
    small = turns.compare(Case(500, 20), everyone, arguments.rounds)
    print("A read and a write a tick …", flush=True)
    naive = turns.compare(Case(20, 20, 20), ("naive", "powertools"), arguments.rounds)["naive"]
    print("Scale …", flush=True)
    scale = {case: turns.compare(case, ("full",), min(3, arguments.rounds))["full"] for case in SCALE}
    print("Cold start, memory, bundle …", flush=True)
    of_500 = key_figures(small, naive)
    results: Json = {
        **key_figures(large, naive),
        **{f"{key}_500": of_500[key] for key in (*RATIOS, "naive_ratio", "wcu_per_million")},
        "per_tick_cost_50k_vs_500": scale[Case(50_000, 1, 20)].median / scale[Case(500, 20)].median,
        **start_figures(),
        "at_500_symbols": of_500,
        "us_per_tick": {
            "5000": {name: of.median * 1e6 for name, of in large.items()} | {"naive": naive.median * 1e6},
            "500": {name: of.median * 1e6 for name, of in small.items()},
        },
        "scale_us_per_tick": {case.name: of.median * 1e6 for case, of in scale.items()},
        "shards": shard_figures(large["full"]),
        "asked_of_aws": large["full"].answer,
        "machine": machine(),
        "rounds": arguments.rounds,
        "seconds": time.time() - began,
    }
    report = table(results)
    print(report)
    build = ROOT / "build"
    (build / "bench.json").write_text(json.dumps(results, indent=2) + "\n")
    (build / "bench.md").write_text(report)
    rates = {TITLES[name]: 1 / of.median for name, of in {**large, "naive": naive}.items()}
    subtitle = f"5,000 symbols, 25,000 ticks an invocation, one core: {results['machine']['processor']}"
    svg = chart.bars("Ticks a second", subtitle, rates, {TITLES[name] for name in OURS})
    (build / "bench.svg").write_text(svg)
    return 0


def key_figures(measured: dict[str, Measured], naive: Measured) -> Json:
    """The keys that are compared round by round, their spread, and what follows from what was asked of AWS."""
    figures: Json = {}
    spread = {}
    for key, (peer, mine) in RATIOS.items():
        rounds = [a / b for a, b in zip(measured[peer].seconds, measured[mine].seconds, strict=True)]
        figures[key] = statistics.median(rounds)
        spread[key] = [min(rounds), max(rounds)]
    pairs = zip(naive.seconds, measured["committed"].seconds, strict=True)
    by_naive_rounds = [a / b for a, b in pairs]
    figures["naive_ratio"] = statistics.median(by_naive_rounds)
    spread["naive_ratio"] = [min(by_naive_rounds), max(by_naive_rounds)]
    asked = asked_a_tick(measured["full"])
    figures["wcu_per_million"] = asked.write_units * 1e6
    by_naive = money.naive(asked_a_tick(naive))
    by_us = money.ours(asked)
    figures["usd_per_million_vs_naive"] = by_us / by_naive
    figures["usd_vs_flink_24x7"] = by_us / money.flink_24x7(asked.stream_bytes)
    figures["usd_per_million"] = {"ours": by_us / money.TICKS * 1e6, "naive": by_naive / money.TICKS * 1e6}
    figures["spread"] = spread
    return figures


def asked_a_tick(of: Measured) -> money.Asked:
    """What the last round asked of AWS, a tick."""
    answer = of.answer
    return money.Asked(
        write_units=sum(answer["write_units"].values()) / answer["ticks"],
        read_units=answer["read_units"] / answer["ticks"],
        calls=sum(answer["calls"].values()) / answer["ticks"],
        s3_puts=answer["calls"].get("s3 PUT", 0) / answer["ticks"],
        stream_bytes=answer.get("stream_bytes_a_tick", 0.0),
        cpu_seconds=of.median,
    )


def start_figures() -> Json:
    """Cold start, bundle and memory."""
    mine, peers = ROOT / ".venv" / "bin" / "python", ROOT / "build" / "peers" / "bin" / "python"
    cases = {"ours": (mine, cold.OURS), "typical": (peers, cold.WITH_PANDAS)}
    starts = {name: statistics.median(taken) for name, taken in cold.in_turns(cases, 7).items()}
    folder = bundle(ROOT, names.DETECTOR, "aws")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    script = Path(__file__).with_name("memory.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    told = subprocess.run(
        [str(mine), str(script), "50000"], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return {
        "cold_import_vs_typical": starts["ours"] / starts["typical"],
        "cold_import_seconds": starts,
        "bundle_mb": size / 1e6,
        "memory_mb_50k": json.loads(told.stdout)["peak_mb"],
    }


def shard_figures(full: Measured) -> list[Json]:
    """The most ticks a second by number of shards, with as many partitions as shards, 4 at least."""
    asked = asked_a_tick(full)
    windows = full.answer["write_units"]["windows"] / full.answer["ticks"]
    calls = asked.calls * 25_000
    cost = shards.Cost(asked.stream_bytes, asked.cpu_seconds, calls * money.CALL_SECONDS, windows)
    found = []
    for count in SHARDS:
        partitions = max(4, count)
        most = shards.most(count, partitions, WINDOW_SECONDS, cost)
        load = shards.simulate(most, count, partitions, WINDOW_SECONDS, cost)
        found.append({"shards": count, "partitions": partitions, "ticks_a_second": most, **load._asdict()})
    return found


def machine() -> Json:
    """Where this was measured."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
    }


def _range(of: list[float] | None) -> str:
    return "" if of is None else f"{of[0]:,.3g} to {of[1]:,.3g}"


def table(results: Json) -> str:
    """The results for people, as Markdown."""
    lines = [
        "| figure | bar | 5,000 symbols | spread | bar | 500 symbols | spread | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    small = results["at_500_symbols"]
    for key, (more_is_better, bar) in BARS.items():
        value = results[key]
        bar_500 = BARS_AT_500.get(key)
        reached = (value >= bar if more_is_better else value <= bar) and (
            bar_500 is None or small[key] >= bar_500
        )
        spread, spread_500 = (_range(of["spread"].get(key)) for of in (results, small))
        other = f"{small[key]:,.4g}" if key in small else ""
        sign = "≥" if more_is_better else "≤"
        asked = "" if bar_500 is None else f"≥ {bar_500:g}"
        verdict = "reached" if reached else "**missed**"
        lines.append(
            f"| `{key}` | {sign} {bar:,.4g} | {value:,.4g} | {spread} | {asked} | {other} | {spread_500}"
            f" | {verdict} |"
        )
    lines += ["", "| contender | µs a tick at 5,000 | at 500 |", "|---|---|---|"]
    for name, title in TITLES.items():
        at = {symbols: of.get(name) for symbols, of in results["us_per_tick"].items()}
        shown = ["" if of is None else f"{of:,.2f}" for of in (at["5000"], at["500"])]
        lines.append(f"| {title} | {shown[0]} | {shown[1]} |")
    lines += ["", "| the whole detector | µs a tick |", "|---|---|"]
    lines += [f"| {name} | {cost:.2f} |" for name, cost in results["scale_us_per_tick"].items()]
    lines += [
        "",
        "| shards | partitions | ticks a second | busiest shard | time | delay (s) |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {of['shards']} | {of['partitions']} | {of['ticks_a_second']:,} | {of['bytes']:.0%} | {of['time']:.0%}"
        f" | {of['delay_seconds']:.1f} |"
        for of in results["shards"]
    ]
    where = results["machine"]
    lines += [
        "",
        f"{where['processor']}, one of {where['cores']} cores, Python {where['python']}, numpy {where['numpy']};"
        f" medians of {results['rounds']} rounds in turns, processor time; load of the machine {where['load'][0]:.1f}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
