"""The page's style, light and dark. Values only."""

from __future__ import annotations

CSS = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#667;--grid:#e3e6ea;--zero:#99a;
--power:#0b62c4;--set:#d97706;--base:#7a8594;--must:#b42318;--target:#15803d;
--band:#0b62c41a}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#9aa4b2;--grid:#2c323a;
--zero:#667;--power:#6cb2ff;--set:#fbbf24;--base:#8b97a8;--must:#ff8a80;
--target:#5ddb8d;--band:#6cb2ff22}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);max-width:1040px;
margin:24px auto;padding:0 20px}
h1{font-size:22px;margin:0 0 4px}h2{font-size:18px;margin:28px 0 2px}
p{color:var(--soft);margin:0 0 10px}
.facts{display:flex;flex-wrap:wrap;gap:10px 28px;margin:10px 0 18px}
.facts div{font-size:13px;color:var(--soft)}
.facts b{display:block;font-size:18px;color:var(--ink);font-weight:600}
svg{width:100%;height:auto;display:block;margin:0 0 10px}
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}
svg .title{font-size:13px;fill:var(--ink);font-weight:600}
svg .y{text-anchor:end}svg .x{text-anchor:middle}
.grid{stroke:var(--grid)}.zero{stroke:var(--zero)}
.line{fill:none;stroke-width:1.6;stroke-linejoin:round}
.power{stroke:var(--power);stroke-width:2.2}
.setpoint{stroke:var(--set);stroke-width:1.2}
.baseline{stroke:var(--base);stroke-dasharray:5 4}
.must{stroke:var(--must)}.target{stroke:var(--target);stroke-dasharray:2 3}
.band{fill:var(--band);stroke:none}
table{border-collapse:collapse;margin:8px 0 18px;font-size:13px}
th,td{text-align:left;padding:3px 18px 3px 0;border-bottom:1px solid var(--grid)}
th{color:var(--soft);font-weight:500}
th{vertical-align:bottom}
td{font-variant-numeric:tabular-nums;white-space:nowrap}
@media print{svg,tr{break-inside:avoid}}
"""
