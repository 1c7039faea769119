"""Whether keeping features costs less than it saves: decided by counts alone, so that a run decides alike each time."""

# Each sample would be computed so many times at least, and each megabyte of features takes so many GFLOP: on a
# processor, reading a megabyte takes about as long as a tenth of a GFLOP; on a GPU, as hundreds (docs/speed.md).
FROM_TIMES = 1.3
FROM_GFLOP_PER_MB = {"cpu": 0.3}
FROM_GFLOP_PER_MB_ELSEWHERE = 300.0


def why_it_does_not_pay(times: float, gflop: float, item_bytes: int, device: str) -> str | None:
    """Return why keeping features costs more than it saves, in a sentence; None where it pays.

    times: how often a sample would be computed without. gflop, item_bytes: of the features of one sample. device: the
    type of the one that computes, such as `cpu`.
    """
    if times < FROM_TIMES:
        return f"in so few epochs each would be computed {times:.1f} times."
    if gflop / (item_bytes / 1e6) < FROM_GFLOP_PER_MB.get(device, FROM_GFLOP_PER_MB_ELSEWHERE):
        return f"reading {item_bytes / 1e6:.1f} MB takes about as long here as computing {gflop:.2g} GFLOP."
    return None
