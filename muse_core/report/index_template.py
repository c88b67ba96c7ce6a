"""The frame of ``reports/index.html`` and of the gallery's: runs as sections, headline numbers, a
card a notebook.
"""

STYLE = """
main.index{max-width:70rem}
.lead{max-width:44rem}
nav.runs{font-size:.92rem}nav.runs ul{display:flex;flex-wrap:wrap;gap:.3rem 1.3rem;list-style:none;padding:0;margin:.6rem 0}
.run{margin:3rem 0 0}.run h2{font-size:1.6rem;margin:0 0 .3rem;padding-top:1.4rem}
.run h3{font-size:1rem;margin:1.8rem 0 .6rem}
.about{max-width:50rem;margin:.3rem 0}
dl.numbers{display:grid;grid-template-columns:repeat(var(--count),1fr);max-width:calc(var(--count)*14rem);gap:1px;margin:0;padding:0;
background:var(--line);border:1px solid var(--line);border-radius:8px;overflow:hidden}
dl.numbers>div{background:var(--paper);padding:.75rem .9rem .8rem}
dl.numbers dt{font-size:.82rem;color:var(--quiet);line-height:1.3}dl.numbers dd{margin:0;line-height:1.4}
dd.value{font-size:1.6rem;font-weight:650;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
dd.value small{font-size:.62em;font-weight:500;color:var(--quiet);letter-spacing:0}
dd.fine{font-size:.8rem;color:var(--quiet);font-variant-numeric:tabular-nums}
.note{font-size:.84rem;color:var(--quiet);max-width:50rem;margin:.55rem 0 0;line-height:1.5}
ol.cards{list-style:none;display:grid;grid-template-columns:repeat(auto-fill,minmax(min(19rem,100%),1fr));gap:1.1rem;
padding:0;margin:0}
.card{position:relative;display:flex;flex-direction:column;border:1px solid var(--line);border-radius:8px;overflow:hidden;
background:var(--paper)}
.card:hover{border-color:var(--link)}.card:focus-within{outline:3px solid var(--link);outline-offset:2px}
.cover{order:-1;display:flex;align-items:center;justify-content:center;height:11rem;padding:.5rem;background:#fff;
border-bottom:1px solid var(--line)}
.cover.none{background:var(--wash);color:var(--quiet);font-size:2.6rem;font-weight:650;font-variant-numeric:tabular-nums}
.cover img{max-width:100%;max-height:100%;width:auto;height:auto;object-fit:contain}
.card h4{font-size:1.02rem;margin:.8rem .95rem .25rem}
.card h4 a{text-decoration:none}.card h4 a::after{content:"";position:absolute;inset:0}
.card:hover h4 a,.card h4 a:focus{text-decoration:underline}.card h4 a:focus-visible{outline:none}
.card p{margin:0 .95rem .7rem;font-size:.88rem;line-height:1.5}.claim{color:var(--quiet)}
.card .how{margin-top:auto;color:var(--quiet);font-size:.82rem}.card .wrong{color:var(--bad)}
details.stages{margin:1.4rem 0 0}details.stages>summary{cursor:pointer;font-size:.92rem;width:fit-content;
padding:.25rem .5rem;margin-left:-.5rem;border-radius:4px;color:var(--link)}
details.stages>summary:hover{background:var(--wash)}
td.n,th.n{text-align:right}td ul{list-style:none;margin:0;padding:0}tbody th,td li,td.n{white-space:nowrap}
.run dl.facts{font-size:.82rem;margin-top:1.4rem;line-height:1.5}
@media(max-width:900px){dl.numbers{grid-template-columns:1fr 1fr 1fr;max-width:none}}
@media(max-width:600px){.run{margin-top:2rem}dl.numbers{grid-template-columns:1fr 1fr}
dl.numbers>div{padding:.6rem .7rem}dl.numbers>div:last-child:nth-child(odd){grid-column:1/-1}
dd.value{font-size:1.4rem}.cover{height:9.5rem}}
@media print{.card{break-inside:avoid}}
"""

TEMPLATE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ frame.title }}</title><link rel="icon" href="data:,">
<style>{{ css | safe }}</style></head><body><a class="skip" href="#page">Skip to the runs</a>
<main id="page" class="index">
<h1>{{ frame.title }}</h1>
<p class="lead">MUSE is a visual tokenizer: one latent that reconstructs an image, is understood, and can be generated.
{{ frame.lead }}</p>
{% if runs | length > 1 %}
<nav class="runs" aria-label="Runs"><ul>
{% for run in runs %}<li><a href="#run-{{ run.name }}">{{ run.name }}</a></li>{% endfor %}
</ul></nav>
{% endif %}
{% if not runs %}<p>No run yet: <code>muse run all</code> makes the first.</p>{% endif %}
{% for run in runs %}
<section class="run" aria-labelledby="run-{{ run.name }}">
<h2 id="run-{{ run.name }}">Run {{ run.name }}</h2>
{% if run.about %}<p class="about">{{ run.about | join(" ") }}</p>{% endif %}
{% if run.headline %}
<h3>Headline numbers</h3>
<dl class="numbers" style="--count:{{ run.headline.numbers | length }}">
{% for one in run.headline.numbers %}
<div><dt>{{ one.label }}</dt>
<dd class="value">{{ one.value }}{% if one.unit %}<small>&nbsp;{{ one.unit }}</small>{% endif %}</dd>
{% if one.interval %}<dd class="fine">{{ one.interval }}</dd>{% endif %}
{% if one.beside %}<dd class="fine">{{ one.beside }}</dd>{% endif %}
{% if one.chance %}<dd class="fine">chance: {{ one.chance }}</dd>{% endif %}
</div>
{% endfor %}
</dl>
<p class="note">{{ run.headline.about }}</p>
{% endif %}
<h3>Notebooks</h3>
<ol class="cards">
{% for row in run.notebooks %}
<li class="card">
<h4><a href="{{ row.link }}">{{ row.title }}</a></h4>
{% if row.picture %}
<div class="cover"><img src="{{ row.picture.src }}" alt="{{ row.picture.alt }}" width="{{ row.picture.width }}" height="{{ row.picture.height }}"></div>
{% else %}
<div class="cover none" aria-hidden="true">{{ row.stem[:2] }}</div>
{% endif %}
{% if row.claim %}<p class="claim">{{ row.claim }}</p>{% endif %}
{% if row.error %}<p class="wrong">{{ row.error }}</p>{% endif %}
<p class="how"><span class="state {{ row.state }}">{{ row.state }}</span>
{% if row.minutes %}<span class="minutes"> · {{ row.minutes }} min</span>{% endif %}</p>
</li>
{% endfor %}
</ol>
{% for state, words in run.states %}
<p class="note"><span class="state {{ state }}">{{ state }}</span>: {{ words }}.</p>
{% endfor %}
{% if run.stages %}
<details class="stages"><summary>Training, stage by stage</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Training of {{ run.name }}, stage by stage"><table>
<thead><tr><th scope="col">Stage</th><th scope="col" class="n">Steps</th><th scope="col" class="n">Minutes</th>
<th scope="col" class="n">Images/s</th><th scope="col">Losses, first → last</th>
{% if run.stages | selectattr("held_out") | list %}<th scope="col">Held out</th>{% endif %}</tr></thead><tbody>
{% for row in run.stages %}
<tr><th scope="row">{{ row.name }}</th><td class="n">{{ row.steps }}</td><td class="n">{{ row.minutes }}</td>
<td class="n">{{ row.speed }}</td><td><ul>{% for loss in row.losses %}<li>{{ loss }}</li>{% endfor %}</ul></td>
{% if run.stages | selectattr("held_out") | list %}<td>{{ row.held_out }}</td>{% endif %}</tr>
{% endfor %}
</tbody></table></div></details>
{% endif %}
{% if run.facts %}
<dl class="facts">{% for name, value in run.facts %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>{% endfor %}</dl>
{% endif %}
</section>
{% endfor %}
</main></body></html>
"""
