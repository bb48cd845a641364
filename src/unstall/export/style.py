"""How the live page looks, and how it renews itself."""

from __future__ import annotations

STYLE = """
:root{--ink:#1b1d1f;--dim:#666d75;--line:#e2e5e8;--paper:#fff;--bad:#c31432;--pale:#fdecef;--warn:#8a5a00;
--good:#1a6e3c;--bar:#5b7fa6}
@media(prefers-color-scheme:dark){:root{--ink:#dfe3e6;--dim:#8d959d;--line:#2b3035;--paper:#131619;
--bad:#ff6b81;--pale:#3a1620;--warn:#e0b050;--good:#63c58a;--bar:#6d93bd}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:78rem;padding:1.2rem 1rem 3rem;background:var(--paper);color:var(--ink);
font:14px/1.45 system-ui,sans-serif;font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
h1{font-size:1.55rem;line-height:1.2;margin:0 0 .2rem;font-weight:650;letter-spacing:-.01em}
h2{font-size:.82rem;margin:1.8rem 0 .35rem;font-weight:650}
p{margin:.15rem 0}a{color:inherit}code{font:12.5px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
section>div{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:400;color:var(--dim);font-size:.8rem}
th,td{padding:.24rem 1.1rem .24rem 0;border-bottom:1px solid var(--line);vertical-align:top;
white-space:nowrap}
th:not(.w){width:1%}th:last-child,td:last-child{padding-right:0}
td.w{white-space:normal;overflow-wrap:anywhere;min-width:9rem}.r{text-align:right}
.dim{color:var(--dim);font-size:.85rem}.bad{color:var(--bad);font-weight:600}.warn{color:var(--warn)}
.good{color:var(--good)}tr:has(td.bad){background:var(--pale)}
meter{width:4rem;height:.6rem;margin-left:.5rem;vertical-align:baseline}
meter::-webkit-meter-bar{background:var(--line);border:0;border-radius:0}
meter::-webkit-meter-optimum-value{background:var(--bar)}meter::-moz-meter-bar{background:var(--bar)}
#lost{position:sticky;bottom:0;margin-top:1.5rem;padding:.6rem .8rem;background:var(--pale)}
#lost[hidden]{display:none}
@media(max-width:44rem){
table,tbody{display:block}thead{display:none}
tr{display:grid;grid-template-columns:1fr 1fr;column-gap:1.4rem;padding:.5rem .2rem;
border-bottom:1px solid var(--line)}
td,td.r{display:flex;gap:.8rem;justify-content:space-between;text-align:right;border:0;padding:.08rem 0;
white-space:normal}
td.w{grid-column:1/-1;min-width:0}
td:before{content:attr(data-head);color:var(--dim);font-weight:400;text-align:left;flex:none}
td.none{display:none}meter{display:none}
}
"""

SCRIPT = """
"use strict";
const live = document.getElementById("live"), lost = document.getElementById("lost");
let seen = Date.now();
async function renew() {
  const gone = new AbortController(), timer = setTimeout(() => gone.abort(), 3000);
  try {
    const answer = await fetch("/fragment", {signal: gone.signal, cache: "no-store"});
    if (!answer.ok) throw new Error(answer.status);
    live.innerHTML = await answer.text();
    document.title = live.querySelector("h1").dataset.title;
    seen = Date.now();
    lost.hidden = true;
  } catch {
    const age = Math.round((Date.now() - seen) / 1000);
    lost.textContent = "No answer from this worker for " + age + " s: it has ended, or C code in it holds " +
      "the interpreter lock. What is above is as old as that; its siblings, linked above, know more.";
    lost.hidden = false;
  } finally {
    clearTimeout(timer);
  }
}
async function turn() {
  if (!document.hidden) await renew();
  setTimeout(turn, 1000);
}
setTimeout(turn, 1000);
"""
