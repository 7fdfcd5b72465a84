"""How the pages of this folder are built: `make docs`, or `sphinx-build reports/docs results/site`."""

import softshare

project = "softshare"
author = "The softshare authors"
project_copyright = "2026, the softshare authors"
release = softshare.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
exclude_patterns: list[str] = []

html_theme = "furo"
html_title = "softshare"
html_show_sourcelink = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_use_rtype = False
add_module_names = False
python_maximum_signature_line_length = 88
default_role = "code"
