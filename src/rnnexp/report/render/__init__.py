"""The report as HTML, Markdown and CSV."""
