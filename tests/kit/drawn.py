"""What figures say, and the classes that are drawn."""

from matplotlib.figure import Figure
from matplotlib.text import Text

NAMES = ["not_water", "water"]


def texts(figure: Figure) -> list[str]:
    """Return every text in a figure."""
    return [text.get_text() for text in figure.findobj(Text)]
