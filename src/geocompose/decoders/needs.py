"""What a decoder needs of the features it is given; declared on its class as `needs`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """A decoder's demands.

    levels: least number of maps. pyramid: the maps' resolutions differ, finest first; where false, the decoder reads one
    map (`reads_one`) or does not care. input_level: a level of the input's resolution stands first (smp's habit).
    third_to_last: how many times as fine as the last feature the third has to be, where the decoder joins these two.
    """

    levels: int = 1
    pyramid: bool = False
    reads_one: bool = False
    input_level: bool = False
    third_to_last: int | None = None
