"""The page's frame, laid over nbconvert's classic template: prose first, code folded, outputs in
the open.
"""

TEMPLATE = """
{%- extends 'classic/base.html.j2' -%}
{%- block header -%}
{%- set muse = resources.muse -%}
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ muse.title | e }} · MUSE</title><link rel="icon" href="data:,">
<style>{{ muse.css }}</style>
{% if muse.interactive %}<script defer src="assets/plotly.min.js"></script>{% endif %}
<script>{{ muse.script }}</script></head><body>
<a class="skip" href="#page">Skip to the page</a>
<header class="bar"><div><nav aria-label="Pages">
<a href="../index.html">All runs</a>
<button type="button" id="all-code" aria-pressed="false" hidden>Show code</button>
{% if muse.previous -%}
<a rel="prev" class="next" href="{{ muse.previous.link | e }}">← {{ muse.previous.title | e }}</a>{% endif %}
{% if muse.next -%}
<a rel="next" {% if not muse.previous %}class="next" {% endif %}href="{{ muse.next.link | e }}">
{{ muse.next.title | e }} →</a>{% endif %}
</nav><dl class="facts">
{%- for name, value in muse.facts %}<div><dt>{{ name | e }}</dt><dd>{{ value | e }}</dd></div>{% endfor -%}
</dl></div></header>
<main id="page">
{% if muse.error %}<p class="notice" role="alert"><strong>This notebook stopped.</strong> {{ muse.error | e }}
{% if muse.failed_cell %}<a href="#failed-cell">See the cell.</a>{% endif %}</p>{% endif %}
{%- endblock header -%}
{%- block footer -%}</main></body></html>{%- endblock footer -%}

{%- block codecell -%}
{%- set failed = cell.outputs | selectattr('output_type', 'equalto', 'error') | list -%}
<section class="cell"{% if failed %} id="failed-cell"{% endif %}>
{%- if cell.source.strip() %}
<details class="code"><summary>{{ cell.metadata.get('muse_summary', 'Code') | e }}</summary>
{{ cell.source | highlight_code(metadata=cell.metadata) }}</details>
{%- endif -%}
{%- if cell.outputs %}{{ self.outputs() }}{% endif -%}
</section>
{%- endblock codecell -%}
{%- block markdowncell -%}
<div class="text">{{ cell.source | markdown2html | strip_files_prefix }}</div>
{%- endblock markdowncell -%}

{%- block output -%}
{%- if output.output_type == 'stream' -%}
<pre class="stream {{ output.name }}" tabindex="0">{{ output.text | ansi2html }}</pre>
{%- elif output.output_type == 'error' -%}
<pre class="trace" tabindex="0">{% for line in output.traceback %}{{ line | ansi2html }}
{% endfor %}</pre>
{%- elif output.output_type == 'execute_result' -%}{{ self.execute_result() }}
{%- else -%}{{ self.display_data() }}{%- endif -%}
{%- endblock output -%}
{%- block data_html -%}<div class="html">{{ output.data['text/html'] }}</div>{%- endblock data_html -%}
{%- block data_text -%}
<pre class="plain" tabindex="0">{{ output.data['text/plain'] | ansi2html }}</pre>
{%- endblock data_text -%}
{%- block data_javascript -%}{%- endblock data_javascript -%}
{%- block data_widget_view -%}{%- endblock data_widget_view -%}
"""
