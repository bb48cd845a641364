"""How the page of a run looks, and what a pointer or a key can do on it. It is whole without the script."""

from __future__ import annotations

from unstall.export.style import STYLE as LIVE

STYLE = (
    LIVE
    + """
:root{--s1:#2f6db3;--s2:#a04a8f;--s3:#2b7a63;--s4:#8a6a10;--s5:#1b1d1f;--s6:#5d55b5;--shade:#f4f6f8;
--ill:#fdf1e2}
@media(prefers-color-scheme:dark){:root{--s1:#79aee8;--s2:#dd93cf;--s3:#6cc4a8;--s4:#d8b65c;--s5:#dfe3e6;
--s6:#a7a0f2;--shade:#1a1e22;--ill:#2c2317}}
table{width:auto;min-width:min(100%,44rem)}th:not(.w){width:auto}td.w{max-width:34rem}
h3{font-size:1rem;margin:1.4rem 0 .2rem;font-weight:650}
h3 small,.tag{font-size:.75rem;font-weight:600;border:1px solid;border-radius:.2rem;padding:0 .35rem;
margin-left:.5rem;white-space:nowrap;vertical-align:.1em}
.frozen{color:var(--bad)}.degraded,.not-enough-data{color:var(--warn)}.isolated{color:var(--good)}
.lead{font-size:1rem;max-width:60rem}
section>div:focus-visible,figure:focus-visible,summary:focus-visible,button:focus-visible{outline:2px solid
var(--s1);outline-offset:2px}
figure{margin:.4rem 0 0;position:relative;overflow-x:auto}
.chart{display:block;width:100%;min-width:40rem;height:auto;font:11px system-ui,sans-serif}
.chart text{fill:var(--dim)}.chart .name{fill:var(--ink);font-weight:600;font-size:11.5px}
.chart .end{text-anchor:end}.chart .over{font-weight:600;font-size:11.5px}
.chart .frozen{fill:var(--bad)}.chart .degraded,.chart .not-enough-data{fill:var(--warn)}
.chart .isolated{fill:var(--good)}
.chart path,.chart line{fill:none;stroke-width:1.6;vector-effect:non-scaling-stroke;stroke-linejoin:round;
stroke-linecap:round}
.chart .grid{stroke:var(--line);stroke-width:1}.chart .half{stroke-width:1.2;stroke-dasharray:2 3}
.chart .cursor{stroke:var(--ink);stroke-width:1}
.phase,.none{fill:var(--shade)}.fault{fill:var(--ill)}.band{fill:var(--bad);opacity:.13}.stall{fill:var(--bad)}
.s1{stroke:var(--s1)}.s2{stroke:var(--s2)}.s3{stroke:var(--s3)}.s4{stroke:var(--s4)}.s5{stroke:var(--s5)}
.s6{stroke:var(--s6)}
.key{display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;list-style:none;margin:.4rem 0 0;padding:0;font-size:.8rem;
color:var(--dim)}
.key svg{width:1.6rem;height:.7rem;margin-right:.35rem;vertical-align:-.05rem}
.key svg path{fill:none;stroke-width:2}.key .half{stroke-dasharray:2 3}
.zoom{margin:.5rem 0 0;display:flex;flex-wrap:wrap;gap:.3rem}
body .zoom[hidden]{display:none}
.zoom button{font:inherit;font-size:.8rem;color:inherit;background:none;border:1px solid var(--line);
border-radius:.25rem;padding:.1rem .55rem;cursor:pointer}
.zoom button[aria-pressed=true]{border-color:var(--ink);font-weight:600}
.read{min-height:1.5em;font-size:.85rem;margin:.3rem 0 0}.read b{font-weight:600}
.stack{list-style:none;margin:.3rem 0;padding:0;font:12.5px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}
.stack li{padding-left:1.2rem;text-indent:-1.2rem}.stack li:before{content:"\\2514  ";color:var(--dim)}
.stack li:first-child:before{content:"\\2192  "}
.stack .site{font-weight:650;color:var(--bad)}
dl{display:grid;grid-template-columns:6rem 1fr;gap:.15rem 1rem;margin:.3rem 0}
dl.why{grid-template-columns:minmax(6rem,max-content) 1fr}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
details{margin:.5rem 0}summary{cursor:pointer;color:var(--dim);font-size:.85rem}
.both{display:grid;grid-template-columns:1fr;gap:1.6rem}
@media(min-width:76rem){.two{max-width:104rem}.two .both{grid-template-columns:1fr 1fr}}
.both>article{min-width:0}details h2{display:none}.both h3{margin:0}
@media(max-width:44rem){table{width:100%}dl,dl.why{grid-template-columns:1fr}dt{margin-top:.3rem}}
@media print{figure{overflow:visible}.zoom,.read{display:none}}
"""
)

SCRIPT = """
"use strict";
const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
for (const figure of document.querySelectorAll("figure")) {
  const data = JSON.parse(document.getElementById(figure.dataset.name + "-data").textContent);
  const chart = figure.querySelector(".chart"), plot = chart.querySelector(".plot");
  const cursor = plot.querySelector(".cursor"), words = figure.nextElementSibling;
  const buttons = words.nextElementSibling;
  const whole = plot.viewBox.baseVal.width, high = plot.viewBox.baseVal.height;
  const left = plot.x.baseVal.value, labels = [...chart.querySelectorAll("[data-x]")];
  let from = 0, wide = whole, at = -1, held = null;

  function show(index) {
    at = Math.max(0, Math.min(data.moments.length - 1, index));
    const [x, where, values] = data.moments[at];
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.setAttribute("visibility", "visible");
    const bold = document.createElement("b");
    bold.textContent = where;
    words.replaceChildren(bold, document.createTextNode(" " + values));
  }
  function view(x, width) {
    wide = Math.max(whole / 200, Math.min(whole, width));
    from = Math.max(0, Math.min(whole - wide, x));
    plot.setAttribute("viewBox", [from, 0, wide, high].join(" "));
    const larger = whole / wide;
    for (const label of labels) {
      const place = (label.dataset.x - from) * larger, room = label.dataset.wide * larger;
      let hidden = place < -1 || place > whole - 8;
      if (label.dataset.text) {
        const start = Math.max(0, place), left_of_it = room + Math.min(0, place);
        const most = Math.floor(left_of_it / 6.6), text = label.dataset.text;
        label.firstChild.data = text.length <= most ? text : most > 1 ? text.slice(0, most - 1) + "…" : "";
        label.setAttribute("x", left + start);
        hidden = start > whole || left_of_it <= 0;
      } else {
        const step = steps.find(each => each * label.dataset.unit * larger >= 45);
        hidden ||= room < 22 || label.dataset.at % (step || 3600) !== 0;
        label.setAttribute("x", left + place);
      }
      label.setAttribute("visibility", hidden ? "hidden" : "visible");
    }
    for (const [n, button] of [...buttons.children].entries()) {
      const [, start, width] = data.phases[n];
      button.setAttribute("aria-pressed", Math.abs(start - from) < 1 && Math.abs(width - wide) < 1);
    }
  }
  function place(event) {
    const box = plot.getBoundingClientRect(), all = chart.getBoundingClientRect();
    const scale = all.width / chart.viewBox.baseVal.width;
    return from + ((event.clientX - all.left) / scale - left) / whole * wide;
  }
  function nearest(x) {
    let best = 0;
    data.moments.forEach(([mine], n) => {
      if (Math.abs(mine - x) < Math.abs(data.moments[best][0] - x)) best = n;
    });
    return best;
  }
  for (const [name, start, width] of data.phases) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => view(start, width));
    buttons.append(button);
  }
  buttons.hidden = data.phases.length < 3;
  figure.addEventListener("pointerdown", event => { held = event.button ? null : place(event); });
  figure.addEventListener("pointermove", event => {
    if (data.moments.length) show(nearest(place(event)));
  });
  figure.addEventListener("pointerup", event => {
    const until = place(event);
    if (held !== null && Math.abs(until - held) > wide / 50) {
      view(Math.min(held, until), Math.abs(until - held));
    }
    held = null;
  });
  figure.addEventListener("dblclick", () => view(0, whole));
  figure.addEventListener("keydown", event => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (step && data.moments.length) show(at < 0 ? 0 : at + step);
    else if (event.key === "Escape") view(0, whole);
    else return;
    event.preventDefault();
  });
  view(0, whole);
}
"""
