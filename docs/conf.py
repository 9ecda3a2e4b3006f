# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds these pages: ``nox -s docs``."""

from __future__ import annotations

import pathlib

import tomllib

PROJECT = tomllib.loads(pathlib.Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8"))["project"]

project = "tornado_opentracing"
author = PROJECT["authors"][0]["name"]
copyright = author  # noqa: A001 - Sphinx's name for it
release = version = PROJECT["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_title = f"tornado_opentracing {version}"
html_theme_options = {
    "source_repository": PROJECT["urls"]["Repository"],
    "source_branch": "main",
    "source_directory": "docs/",
}
templates_path: list[str] = []
exclude_patterns = ["_build"]

# Headings can be linked to, as they can on the pages of a repository.
myst_heading_anchors = 4
# "http:" and so on are for Sphinx to leave alone; everything else has to be a page, a file or a heading that exists.
myst_url_schemes = ["http", "https"]

# "nox -s docs -- linkcheck" asks who is elsewhere: not the reader's own server, nor the project, whose files the tests
# look for.
linkcheck_ignore = ["http://127.0.0.1:", PROJECT["urls"]["Repository"]]

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

# Every name in a docstring has to be one that is documented here, or somebody else's. Names without a module, and
# private ones, are those of annotations.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(tornado|opentracing|opentelemetry|asyncio|concurrent|contextvars|logging|re|collections|typing)\..*"),
    ("py:class", r"\w+|P\.(args|kwargs)|tornado_opentracing\..*_.*"),
]
