"""What the benchmarks share: alerts, servers under load, a cheap client, a sink, readings of /proc, and figures.

Standard library alone, all traffic on 127.0.0.1, every load bounded by a count. The driver shares the machine with
what it measures, so requests are bytes before the clock starts, and answers are looked at for their status only.
"""
