"""How Sphinx makes the documentation; warnings are errors (``make docs``)."""

from __future__ import annotations

from airflow_batch_cancel import __version__

project = "airflow-batch-cancel"
author = copyright = "the authors of airflow-batch-cancel"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["Thumbs.db"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
maximum_signature_line_length = 80
python_use_unqualified_type_names = True

copybutton_prompt_text = "$ "

html_theme = "furo"
html_title = "airflow-batch-cancel"
