"""The configuration of Sphinx, with which `make docs` builds the pages of docs/ as a site."""

import re
from importlib import metadata

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "rnnexp"
release = metadata.version("rnnexp")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"rnnexp {release}"
html_show_copyright = False
root_doc = "index"
# Each link to a heading is checked.
myst_heading_anchors = 4
# The sites of PyTorch and Python would have to be read for them.
nitpick_ignore_regex = [("py:.*", r"(torch|collections|pathlib)\..*"), ("py:exc", "UserError")]
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False


def add_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """Append to the index a hidden table of contents of the pages that it links to, which fills the sidebar."""
    if name == root_doc:
        pages = re.findall(r"\]\(([\w/]+)\.md\)", source[0])
        contents = [*dict.fromkeys(pages), "reports/*/report"]
        source[0] += "\n".join(["", "```{toctree}", ":hidden:", ":glob:", "", *contents, "```", ""])
    # A file of the repository that is not a page of the site.
    source[0] = source[0].replace("[CONTRIBUTING.md](../CONTRIBUTING.md)", "CONTRIBUTING.md")


def setup(app: Sphinx) -> None:
    """Connect the table of contents, and show diagrams of Mermaid as text."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", add_contents)
