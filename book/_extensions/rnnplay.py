"""Charts of Vega-Altair, drawn by the copy of Vega that the site carries.

A notebook's output asks a host of scripts for Vega, which is right in Colab and wrong on a site that works without a
network. The page holds the chart's specification, and `_static/rnnplay.js` draws it in the colours of the theme.
sphinxext-altair draws charts of its own directive, not those in outputs of notebooks.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import vendor
from docutils import nodes
from sphinx.errors import ExtensionError

SCRIPTS = ["vega/build/vega.min.js", "vega-lite/build/vega-lite.min.js", "vega-embed/build/vega-embed.min.js"]
CALL = re.compile(r"^\s*\}\)\((?=\{)", re.MULTILINE)  # Altair's template ends in })(specification, options);
CHART = """<div class="play">
<div class="play-controls"></div>
<p class="play-readout" role="status"></p>
<div class="play-chart"></div>
<noscript><p>This figure needs JavaScript. {description}</p></noscript>
<script type="application/json">{specification}</script>
</div>"""


def specification(output: str) -> dict:
    """The Vega-Lite specification in the HTML that Altair writes.

    Raises:
        ExtensionError: the HTML is not what the pinned Altair writes, or the chart has no description.
    """
    start = CALL.search(output)
    if start is None:
        raise ExtensionError("an output calls Vega in a way that book/_extensions/rnnplay.py does not know: adapt CALL")
    chart, _ = json.JSONDecoder().raw_decode(output, start.end())
    if not chart.get("description"):
        raise ExtensionError("a chart has no description to be read aloud: give it one with properties(description=)")
    return chart


def extract_specifications(app, doctree) -> None:
    for node in doctree.findall(nodes.raw):
        if node.get("format") == "html" and "vegaEmbed" in node.astext():
            chart = specification(node.astext())
            text = json.dumps(chart, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
            page = CHART.format(description=html.escape(chart["description"]), specification=text)
            node.replace_self(nodes.raw("", page, format="html"))
            app.env.metadata[app.env.docname]["play"] = True


def add_scripts(app, pagename, templatename, context, doctree) -> None:
    pages = app.env.metadata if app.builder.name == "singlehtml" else [pagename]
    if any(app.env.metadata.get(page, {}).get("play") for page in pages):
        for script in SCRIPTS:
            app.add_js_file(f"../vega/{Path(script).name}", loading_method="defer")  # relative to _static
        app.add_js_file("rnnplay.js", loading_method="defer")


def vendor_vega(app, exception) -> None:
    if exception or app.builder.format != "html" or not any(m.get("play") for m in app.env.metadata.values()):
        return
    for script in SCRIPTS:
        vendor.copy(app, script, Path(app.outdir) / "vega" / Path(script).name)


def setup(app) -> dict:
    app.connect("doctree-read", extract_specifications)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", vendor_vega)
    return {"version": "1", "env_version": 2, "parallel_read_safe": True, "parallel_write_safe": True}
