"""Pages from their templates: whatever comes from files of others is escaped. Free of torch."""

from pathlib import Path
from typing import Any

_TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **values: Any) -> str:
    """Return a page. template: its name in `templates`. values: what it shows; a name that it misses is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # a tenth of a second that only pages need

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
