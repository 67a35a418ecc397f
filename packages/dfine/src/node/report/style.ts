/** How the report looks: light or dark as the system is, from the width of a telephone on. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #333; --faint: #737373; --line: #8883; --heat: #3b82f6; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --faint: #999; --paper: #16181b; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 1.5rem auto; padding: 0 1rem; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; margin-top: 2.5rem; } h3 { font-size: .95rem; font-weight: 600; margin: 0 0 .25rem; }
#status:empty { display: none; } #status { padding: .25rem .75rem; border-inline-start: 4px solid var(--heat); }
.figures { display: flex; flex-wrap: wrap; gap: 1.5rem 2.5rem; align-items: flex-start; }
.big { font-size: 2rem; font-weight: 600; line-height: 1.2; }
.faint { color: var(--faint); }
.wide { max-width: 100%; overflow-x: auto; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); text-align: start; font-variant-numeric: tabular-nums; }
td.number { text-align: end; }
.bar { display: inline-block; min-width: 5.5rem; background: linear-gradient(to right, color-mix(in srgb, var(--heat) 35%, transparent) calc(var(--v) * 100%), transparent 0); padding-inline: .3rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 1.5rem; }
.chart { min-width: 0; } .uplot { max-width: 100%; } .u-legend { font-size: .8rem; text-align: start; } .u-legend .u-marker { border-radius: 2px; }
.u-legend th, .u-legend td { border: 0; padding: 0 .15rem; font-weight: 400; }
.matrix td { min-width: 2.4rem; text-align: center; padding: .25rem; border: 1px solid var(--line); background: color-mix(in srgb, var(--heat) calc(var(--v, 0) * 75%), transparent); }
.matrix td.same { outline: 1px solid var(--faint); outline-offset: -1px; }
.matrix th { font-weight: 400; padding: .2rem .5rem; min-width: 5.5rem; max-width: 14rem; overflow-wrap: anywhere; border: 0; }
.matrix th.column { vertical-align: bottom; padding: .4rem .1rem; min-width: 0; } .matrix th.column span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 12rem; }
.matrix.crowded { font-size: .65rem; line-height: 1; } .matrix.crowded td { min-width: .7rem; height: .7rem; padding: 0; } .matrix.crowded th { min-width: 0; padding: 0 .2rem; white-space: nowrap; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 1.5rem; }
figure { margin: 0; } .panels { display: flex; gap: .5rem; } .panels > div { flex: 1; min-width: 0; }
figure svg { width: 100%; height: auto; max-height: 30rem; display: block; background: var(--line); } figcaption { overflow-wrap: anywhere; font-size: .85rem; }
.box rect { fill: transparent; stroke-width: 1.75px; vector-effect: non-scaling-stroke; } .box rect:first-of-type { stroke: #0009; stroke-width: 3.5px; }
.box.focus rect { stroke-width: 3px; } .box.focus rect:first-of-type { stroke-width: 5px; }
.box.lit rect:last-of-type { stroke: #fff; stroke-width: 3px; } .lit:not(.box) { outline: 2px solid var(--heat); }
.legend { font-size: .8rem; line-height: 1.35; margin: .25rem 0; } .chip { margin-inline-end: .6rem; } .chip .class { white-space: nowrap; } .chip i { display: inline-block; width: .7em; height: .7em; border-radius: 2px; } .chip small { color: var(--faint); }
details { margin-top: 1.5rem; } summary { cursor: pointer; font-size: 1.1rem; font-weight: 600; }
pre { overflow-x: auto; padding: 1rem; border: 1px solid var(--line); border-radius: .4rem; }
`;
