"""The frame of ``reports/index.html``."""

TEMPLATE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>MUSE reports</title><link rel="icon" href="data:,">
<style>{{ css | safe }}
.run{margin:2.6rem 0}.run h2{margin-bottom:.2rem}
ol.notebooks{list-style:none;padding:0;margin:1rem 0;border:1px solid var(--line);border-radius:8px}
ol.notebooks li{display:grid;grid-template-columns:1fr auto;gap:.1rem 1.2rem;padding:.75rem 1rem}
ol.notebooks li+li{border-top:1px solid var(--line)}ol.notebooks a{font-weight:600}
.claim{grid-column:1/-1;max-width:46rem;margin:0;color:var(--quiet);font-size:.92rem;line-height:1.5}
.how{font-size:.86rem;text-align:right;color:var(--quiet);white-space:nowrap}
.wrong{grid-column:1/-1;margin:.3rem 0 0;color:var(--bad);font-size:.9rem}
.facts{font-size:.86rem}td.n,th.n{text-align:right}td ul{list-style:none;margin:0;padding:0}
tbody th,td li,td.n{white-space:nowrap}
</style></head><body><a class="skip" href="#page">Skip to the runs</a><main id="page">
<h1>MUSE reports</h1>
<p>Every run of the numbered notebooks, the newest first.
The pages are interactive and need neither a kernel nor a network.</p>
{% if not runs %}<p>No run yet: <code>muse run all</code> makes the first.</p>{% endif %}
{% for run in runs %}
<section class="run" aria-labelledby="run-{{ run.name }}"><h2 id="run-{{ run.name }}">{{ run.name }}</h2>
<dl class="facts">{% for name, value in run.facts %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>{% endfor %}</dl>
<ol class="notebooks">
{% for row in run.notebooks %}
<li><a href="{{ row.link }}">{{ row.title }}</a>
<span class="how"><span class="state {{ row.state }}">{{ row.state }}</span>
{% if row.minutes %} · {{ row.minutes }} min{% endif %}</span>
{% if row.claim %}<p class="claim">{{ row.claim }}</p>{% endif %}
{% if row.error %}<p class="wrong">{{ row.error }}</p>{% endif %}</li>
{% endfor %}
</ol>
{% if run.stages %}
<div class="scroll" tabindex="0" role="region" aria-label="Key numbers of {{ run.name }}"><table>
<thead><tr><th scope="col">Stage</th><th scope="col" class="n">Steps</th><th scope="col" class="n">Minutes</th>
<th scope="col" class="n">Images/s</th><th scope="col">Losses, first → last</th>
{% if run.stages | selectattr("held_out") | list %}<th scope="col">Held out</th>{% endif %}</tr></thead><tbody>
{% for row in run.stages %}
<tr><th scope="row">{{ row.name }}</th><td class="n">{{ row.steps }}</td><td class="n">{{ row.minutes }}</td>
<td class="n">{{ row.speed }}</td><td><ul>{% for loss in row.losses %}<li>{{ loss }}</li>{% endfor %}</ul></td>
{% if run.stages | selectattr("held_out") | list %}<td>{{ row.held_out }}</td>{% endif %}</tr>
{% endfor %}
</tbody></table></div>
{% endif %}
</section>
{% endfor %}
</main></body></html>
"""
