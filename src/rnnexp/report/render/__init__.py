"""The report as HTML, Markdown, LaTeX, CSV and Parquet."""
