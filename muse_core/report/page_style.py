"""The one stylesheet of pages and index, and the script that wakes the interactive figures. No file
from elsewhere.
"""

from functools import lru_cache

CSS = """
:root{color-scheme:light dark;--ink:#1f2933;--quiet:#56616b;--paper:#fff;--wash:#f5f7f9;--line:#dde3e8;--link:#0b5cad;
--good:#0a6b3d;--bad:#a8201a;--warn:#855800;
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8eb;--quiet:#a3adb6;--paper:#14181c;--wash:#1c2228;--line:#323b44;
--link:#7db8f5;--good:#6fd0a0;--bad:#ff9a92;--warn:#e8bb62}img.formula{filter:invert(.9)}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:17px/1.62 system-ui,-apple-system,"Segoe UI",sans-serif;
overflow-wrap:break-word}
a{color:var(--link);text-underline-offset:.15em}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-999em}.skip:focus{left:1rem;top:1rem;background:var(--paper);padding:.5rem;z-index:9}
header.bar{background:var(--wash);border-bottom:1px solid var(--line);font-size:.84rem}
header.bar>div{max-width:60rem;margin:auto;padding:.6rem 1.25rem}
header.bar nav{display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;align-items:baseline}
header.bar nav .next{margin-left:auto}
.facts{display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;margin:.25rem 0 0;padding:0;color:var(--quiet)}
.facts div{display:flex;gap:.4em}.facts dt::after{content:":"}.facts dd{margin:0;color:var(--ink)}
main{max-width:60rem;margin:auto;padding:1.2rem 1.25rem 4rem}
main>.text>*,main>.text p,main>.text li{max-width:44rem}
h1,h2,h3,h4{line-height:1.25;margin:2.2em 0 .6em;text-wrap:balance}
h1{font-size:1.95rem;margin-top:.6em}h2{font-size:1.4rem;padding-top:.6em;border-top:1px solid var(--line)}
h3{font-size:1.12rem}
.anchor-link{display:none}
p,ul,ol{margin:.7em 0}
code,pre{font-family:var(--mono);font-size:.86em}
:not(pre)>code{background:var(--wash);border-radius:4px;padding:.08em .3em}
pre{margin:0;overflow-x:auto;line-height:1.5}
details.code{margin:.5rem 0;font-size:.84rem;color:var(--quiet)}
details.code>summary{cursor:pointer;width:fit-content;padding:.1rem .3rem;border-radius:4px}
details.code>summary:hover{color:var(--ink);background:var(--wash)}
details.code pre,.text pre{background:var(--wash);border:1px solid var(--line);border-radius:6px;
padding:.7rem .9rem;color:var(--ink)}
.stream,.plain,.trace{background:none;border-left:3px solid var(--line);padding:.1rem 0 .1rem .9rem;margin:.5rem 0;
max-height:26em;overflow:auto}
.stderr{border-color:var(--warn);color:var(--quiet)}
.trace{border-color:var(--bad);background:var(--wash);padding:.6rem .9rem}
figure{margin:1.3rem 0;background:#fff;border:1px solid var(--line);border-radius:8px;padding:.6rem;color-scheme:light}
figure img,.picture img{display:block;max-width:100%;height:auto;margin:auto}
figure .plot{width:100%;min-width:0}
[hidden]{display:none!important}
img.formula.block{display:block;margin:1.1em 1.5rem}img.formula{max-width:100%}
.scroll{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
.text table,.html>table{display:block;overflow-x:auto;width:fit-content;max-width:100%}
th,td{padding:.38rem .8rem;border:0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
thead th{border-bottom:2px solid var(--line);font-weight:600}
blockquote{margin:1em 0;padding:.1em 1em;border-left:4px solid var(--line);color:var(--quiet)}
.html{overflow-x:auto;margin:.8rem 0}
.notice{border:1px solid var(--bad);border-left-width:6px;border-radius:6px;padding:.6rem 1rem;margin:1rem 0}
.state{font-weight:600;white-space:nowrap}.state.done{color:var(--good)}.state.failed,.state.interrupted{color:var(--bad)}
.state.stale,.state.unfinished{color:var(--warn)}
@media(max-width:600px){body{font-size:16px}h1{font-size:1.5rem}
main{padding:.6rem 1rem 3rem}header.bar>div{padding:.5rem 1rem}
figure{padding:.3rem;margin:1rem -.4rem}th,td{padding:.35rem .5rem}}
@media print{header.bar nav,details.code{display:none}main{max-width:none}figure{break-inside:avoid}}
"""

SCRIPT = """
function wrapped(title){var text=title&&(title.text||title);return typeof text==="string"
?Object.assign({},title.text?title:{},{text:text.replace(/(.{1,38})(\\s+|$)/g,"$1<br>").replace(/<br>$/,"")}):title}
function fit(layout,narrow){layout=Object.assign({},layout,{autosize:true});delete layout.width;
if(narrow){layout.title=wrapped(layout.title);layout.legend=Object.assign({},layout.legend,
{orientation:"h",x:0,xanchor:"left",y:-0.22,yanchor:"top"});layout.margin=Object.assign({},layout.margin,{l:46,r:12})}
return layout}
function wake(figure){var still=figure.querySelector("img"),plot=figure.querySelector(".plot"),
spec=JSON.parse(figure.querySelector("script").textContent);plot.hidden=false;
Promise.resolve().then(function(){return Plotly.newPlot(plot,{data:spec.data,
layout:fit(spec.layout||{},plot.clientWidth<520),
frames:spec.frames||[],config:Object.assign({responsive:true,displaylogo:false},spec.config||{})})})
.then(function(){figure.dataset.drawn="yes";if(still)still.hidden=true},function(){plot.hidden=true})}
document.addEventListener("DOMContentLoaded",function(){
if(window.Plotly)document.querySelectorAll("figure[data-plotly]").forEach(wake);
var button=document.getElementById("all-code");if(!button)return;button.hidden=false;
button.addEventListener("click",function(){var open=button.getAttribute("aria-pressed")!=="true";
button.setAttribute("aria-pressed",open);button.textContent=open?"Hide code":"Show code";
document.querySelectorAll("details.code").forEach(function(one){one.open=open})})});
"""


@lru_cache(maxsize=1)
def code_colours() -> str:
    """Pygments colours for light and dark."""
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    plain = ".highlight{background:none!important}"
    return f"{light}\n@media(prefers-color-scheme:dark){{{dark}}}\n{plain}"
