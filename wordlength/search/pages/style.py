"""The look of all our pages: one style sheet, light and dark, wide and narrow.

Colours are from the colour-blind-safe set of Okabe & Ito; what a colour says, position or text says too.
"""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--page:#fff;--text:#1c2126;--soft:#57606a;--line:#d5dae0;--tint:#f4f6f8;
--bar:#0072b2;--warn:#d55e00;--warn-text:#a84a00;--band:#009e7326;--band-edge:#009e73;--link:#0060a0}
@media(prefers-color-scheme:dark){:root{--page:#14171a;--text:#e4e8ec;--soft:#9aa4ae;--line:#363d44;--tint:#1d2226;
--bar:#56b4e9;--warn:#ff7f2a;--warn-text:#ff9a57;--band:#009e7340;--band-edge:#2fc79c;--link:#7cc4f5}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);
font:15px/1.45 system-ui,Helvetica,Arial,"DejaVu Sans",sans-serif}
main{max-width:1240px;margin:0 auto;padding:20px 16px 64px}
h1{font-size:1.55rem;line-height:1.2;margin:0 0 14px}
h2{font-size:1.2rem;margin:40px 0 8px;padding-top:12px;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:22px 0 4px;text-transform:capitalize}
p{margin:6px 0;max-width:80ch}
a{color:var(--link)}
code{font:0.92em ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;white-space:nowrap}
small,.soft{color:var(--soft)}
.warn{color:var(--warn-text);font-weight:600}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(228px,1fr));gap:8px;margin:0}
.tiles div{background:var(--tint);border-radius:6px;padding:8px 12px}
.tiles dt{color:var(--soft);font-size:.82rem}
.tiles dd{margin:0;overflow-wrap:anywhere}
.tiles .big{font-size:1.15rem;font-weight:600}
ol,ul{margin:8px 0;padding-left:2.2em}
li{margin:3px 0}
details{margin:8px 0}
summary{cursor:pointer;color:var(--link)}
.key{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;padding:0;color:var(--soft);font-size:.88rem}
.key svg{width:22px;height:14px;vertical-align:-2px;margin-right:6px}
.row{display:grid;grid-template-columns:280px 1fr;gap:0 14px;align-items:center;border-bottom:1px solid var(--line);
padding:3px 0}
.row:target{background:var(--tint);box-shadow:-6px 0 var(--bar)}
.row .figures{font-size:.82rem;color:var(--soft)}
.figures span{white-space:nowrap;margin-right:7px}
.name b{margin-right:6px;overflow-wrap:anywhere}
.dist{display:block;width:100%;height:62px}
.dist path,.line path{vector-effect:non-scaling-stroke;fill:none}
.grid{stroke:var(--line)}
.band{fill:var(--band);stroke:var(--band-edge);stroke-opacity:.55;vector-effect:non-scaling-stroke}
.b{fill:var(--bar)}
.o,.u{fill:var(--warn)}
.whisker{stroke:var(--text)}
.box{fill:var(--page);stroke:var(--text);vector-effect:non-scaling-stroke}
.dist path.median{stroke:var(--text);stroke-width:2.5}
.axis{border:0;padding:0}
.ticks{position:relative;height:20px;font-size:.78rem;color:var(--soft)}
.ticks span{position:absolute;transform:translateX(-50%);white-space:nowrap}
sup{font-size:.8em;line-height:0}
.scroll{overflow-x:auto;margin:8px 0}
table{border-collapse:collapse;font-size:.87rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding:4px 0}
th,td{padding:3px 10px 3px 0;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
thead th{vertical-align:bottom;color:var(--soft);font-weight:600}
th[scope=row],thead th:first-child{text-align:left}
th[scope=row]{font-weight:500}
th[scope=row],thead th:first-child{position:sticky;left:0;background:var(--page)}
.numbers td:first-of-type,.numbers thead th:nth-child(2),.bars thead th:nth-child(2){text-align:left}
.numbers{font-size:.83rem}
.lines thead th,.lines td{text-align:left;padding-right:20px}
.lines caption,.numbers caption{position:absolute;clip-path:inset(50%)}
.line{width:104px;height:30px;vertical-align:middle;margin-right:6px}
.line path{stroke:var(--bar);stroke-width:1.5}
.line path.grid{stroke:var(--line);stroke-width:1}
.line circle{fill:var(--bar)}
.line circle.one{fill:var(--page);stroke:var(--bar);stroke-width:1.5}
.now{display:inline-block;width:5em}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:0 32px}
.columns table{width:100%}
.columns td:nth-child(2){width:50%}
.share{display:block;width:100%;height:11px;background:var(--tint)}
@media(max-width:720px){body{font-size:14px}main{padding:14px 12px 48px}
.row{grid-template-columns:1fr}.tiles{grid-template-columns:repeat(auto-fit,minmax(150px,1fr))}
.tiles .big{font-size:1rem}.axis>:first-child{display:none}.dist{height:56px}
.columns{grid-template-columns:1fr}}
@media print{.row,tr{break-inside:avoid}}
"""
