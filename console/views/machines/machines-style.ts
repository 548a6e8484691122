/** The look of this view; it comes with it, and not before. */
export const machinesStyle = `
.view-machines, .machines-alone {
  container-type: inline-size; max-width: none; height: 100dvh; padding: 0; gap: 0; overflow: auto;
}
.machines-alone { position: fixed; inset: 0; }
.mx {
  --mx-page: var(--ground);
  --mx-card: var(--surface);
  --mx-sunk: var(--raised);
  --mx-line: var(--line);
  --mx-edge: light-dark(#a5a8b0, #646975);
  --mx-text: var(--text);
  --mx-soft: var(--quiet);
  --mx-lit: var(--accent);
  --mx-lit-fill: var(--tint);
  --mx-lit-tint: color-mix(in srgb, var(--tint) 38%, var(--surface));
  --mx-fired: light-dark(#b45309, #f5a524);
  --mx-fired-fill: light-dark(#fdf0dc, #33240a);
  --mx-bad: var(--bad);
  --mx-bad-fill: light-dark(#fdeceb, #341513);
  --mx-mono: ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, monospace;
  display: grid;
  grid-template-columns: minmax(190px, 250px) minmax(0, 1fr) minmax(260px, 330px);
  height: 100%;
  min-height: 480px;
  background: var(--mx-page);
  color: var(--mx-text);
  font-size: 13px;
  line-height: 1.4;
}
.mx *, .mx *::before { box-sizing: border-box; }
.mx h1, .mx h2, .mx h3, .mx p { margin: 0; }
.mx h1 { font-size: 15px; padding: 14px 14px 0; font-weight: 650; }
.mx h2 { font-size: 16px; font-weight: 650; overflow-wrap: anywhere; }
.mx h3 { font-size: 11px; font-weight: 600; letter-spacing: .05em; text-transform: uppercase; color: var(--mx-soft); }
.mx a { color: var(--mx-lit); text-decoration: none; }
.mx a:hover { text-decoration: underline; }
.mx button, .mx .mx-copy {
  font: inherit; color: inherit; background: var(--mx-card); border: 1px solid var(--mx-line);
  border-radius: 7px; padding: 4px 10px; cursor: pointer; min-height: 28px;
}
.mx button:hover:not(:disabled), .mx .mx-copy:hover { border-color: var(--mx-edge); text-decoration: none; }
.mx button:disabled { opacity: .4; cursor: default; }
.mx :focus-visible { outline: 2px solid var(--mx-lit); outline-offset: 1px; }
.mx input[type='search'] {
  font: inherit; color: inherit; background: var(--mx-card); border: 1px solid var(--mx-line);
  border-radius: 7px; padding: 5px 9px; width: 100%; min-width: 0;
}
.mx-quiet { color: var(--mx-soft); }
.mx-note { color: var(--mx-soft); padding: 6px 2px; font-size: 12px; }
.mx-note.mx-bad { color: var(--mx-bad); padding: 20px; }

.mx-side { display: flex; flex-direction: column; min-height: 0; border-inline-end: 1px solid var(--mx-line); background: var(--mx-card); }
.mx-tree { display: flex; flex-direction: column; gap: 8px; padding: 10px; min-height: 0; flex: 1; }
.mx-rows { overflow: auto; flex: 1; min-height: 0; margin: 0 -4px; }
.mx-row { display: flex; align-items: center; gap: 6px; padding: 3px 8px 3px 6px; border-radius: 6px; cursor: pointer; white-space: nowrap; min-height: 26px; }
.mx-row:hover { background: var(--mx-sunk); }
.mx-row[aria-selected='true'] { background: var(--mx-lit-fill); }
.mx-row:focus-visible { outline-offset: -2px; }
.mx-fold { width: 14px; flex: none; text-align: center; color: var(--mx-soft); font-size: 11px; line-height: 20px; }
.mx-dot { width: 8px; height: 8px; border-radius: 50%; background: var(--mx-lit); flex: none; animation: mx-beat .7s ease-out; }
.mx-dot-plain { background: none; box-shadow: inset 0 0 0 1.6px var(--mx-edge); }
.mx-is-done .mx-dot, .mx-is-stopped .mx-dot { background: var(--mx-edge); }
.mx-is-error .mx-dot { background: var(--mx-bad); box-shadow: none; }
.mx-row.mx-is-done, .mx-row.mx-is-stopped { opacity: .62; }
.mx-row .mx-row-name { flex: none; max-width: 62%; overflow: hidden; text-overflow: ellipsis; color: inherit; }
.mx-row[aria-selected='true'] .mx-row-name { font-weight: 600; }
.mx-row-source { color: var(--mx-edge); font-size: 11.5px; overflow: hidden; text-overflow: ellipsis; flex: 0 30 auto; min-width: 0; }
.mx-row-state { flex: 1; min-width: 40px; overflow: hidden; text-overflow: ellipsis; text-align: end; color: var(--mx-soft); font-size: 12px; }
.mx-is-error .mx-row-state { color: var(--mx-bad); }
.mx-again { font-size: 11px; color: var(--mx-fired); background: var(--mx-fired-fill); border-radius: 8px; padding: 0 5px; }
@keyframes mx-beat { 0% { box-shadow: 0 0 0 0 color-mix(in srgb, var(--mx-fired) 80%, transparent); } 100% { box-shadow: 0 0 0 8px transparent; } }

.mx-stage { display: flex; flex-direction: column; min-width: 0; min-height: 0; position: relative; }
.mx-head { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 10px; padding: 12px 16px 10px; border-block-end: 1px solid var(--mx-line); background: var(--mx-card); }
.mx-badge { border-radius: 99px; padding: 2px 10px; background: var(--mx-lit-fill); color: var(--mx-lit); font-weight: 600; font-size: 12px; overflow-wrap: anywhere; }
.mx-badge-error { background: var(--mx-bad-fill); color: var(--mx-bad); }
.mx-badge-done, .mx-badge-stopped { background: var(--mx-sunk); color: var(--mx-soft); }
.mx-of { font-size: 12px; }
.mx-banner { padding: 8px 16px; background: var(--mx-fired-fill); color: var(--mx-fired); font-size: 12.5px; }
.mx-banner.mx-bad { background: var(--mx-bad-fill); color: var(--mx-bad); }
.mx-nothing { flex: 1; display: grid; place-content: center; padding: 40px; text-align: center; color: var(--mx-soft); }
.mx-nothing p { max-width: 44ch; }
.mx-nothing strong { color: var(--mx-text); }

.mx-chart { flex: 1; min-height: 0; position: relative; overflow: hidden; touch-action: none; cursor: grab; }
.mx-chart:active { cursor: grabbing; }
.mx-chart:focus-visible { outline-offset: -3px; }
.mx-chart > svg { width: 100%; height: 100%; display: block; }
.mx-zoom { position: absolute; inset-block-end: 12px; inset-inline-end: 12px; display: flex; gap: 4px; }
.mx-zoom button { width: 30px; padding: 0; }
.mx-chart text { fill: var(--mx-text); font: 11.5px system-ui, sans-serif; }
.mx-chart .mx-name { font: 600 13px system-ui, sans-serif; }
.mx-chart .mx-line { fill: var(--mx-soft); }
.mx-state rect { fill: var(--mx-card); stroke: var(--mx-line); stroke-width: 1.3; transition: fill .25s, stroke .25s; }
.mx-outer rect { fill: color-mix(in srgb, var(--mx-sunk) 55%, transparent); }
.mx-root > rect { fill: var(--mx-page); }
.mx-region > rect { stroke-dasharray: 5 4; stroke: var(--mx-edge); }
.mx-final .mx-ring { fill: none; stroke: var(--mx-edge); }
.mx-history > rect { stroke-dasharray: 2 3; }
.mx-active.mx-inner > rect { fill: var(--mx-lit-fill); stroke: var(--mx-lit); stroke-width: 2; }
.mx-active.mx-inner > .mx-name { fill: var(--mx-lit); }
.mx-active.mx-outer > rect { stroke: var(--mx-lit); fill: var(--mx-lit-tint); }
.mx-active.mx-root > rect { fill: var(--mx-page); stroke: color-mix(in srgb, var(--mx-lit) 55%, var(--mx-line)); }
.mx-initial { fill: var(--mx-soft); }
.mx-any rect { fill: var(--mx-page); stroke: var(--mx-edge); stroke-dasharray: 3 3; }
.mx-any text { fill: var(--mx-soft); font-style: italic; }
.mx-arrow path { fill: none; stroke: var(--mx-edge); stroke-width: 1.3; }
.mx-arrow-lit path { stroke: var(--mx-soft); stroke-width: 1.6; }
.mx-arrow-fired path { stroke: var(--mx-fired); stroke-width: 2.4; }
.mx-arrow .mx-flow { stroke: light-dark(#fff, #fff3d6); stroke-width: 2.4; stroke-dasharray: 6 300; stroke-dashoffset: 6; animation: mx-flow .9s ease-out 1 both; }
@keyframes mx-flow { to { stroke-dashoffset: -106; } }
.mx-head-plain path { fill: var(--mx-edge); }
.mx-head-lit path { fill: var(--mx-soft); }
.mx-head-fired path { fill: var(--mx-fired); }
.mx-arrow .mx-label { fill: var(--mx-page); opacity: .92; }
.mx-arrow-lit .mx-line { fill: var(--mx-text); }
.mx-chart .mx-fired { fill: var(--mx-fired); font-weight: 650; animation: mx-glow .9s ease-out; }
@keyframes mx-glow { from { opacity: .25; } }

.mx-scrubber { display: flex; align-items: center; gap: 8px; padding: 8px 12px; border-block-start: 1px solid var(--mx-line); background: var(--mx-card); }
.mx-scrubber input[type='range'] { padding: 0; flex: 1; min-width: 60px; accent-color: var(--mx-lit); }
.mx-scrubber.mx-paused { background: var(--mx-fired-fill); }
.mx-paused input[type='range'] { accent-color: var(--mx-fired); }
.mx-scrubber .mx-primary { min-width: 84px; font-weight: 600; }
.mx-when { font-family: var(--mx-mono); font-size: 12px; min-width: 60px; white-space: nowrap; }
.mx-live-dot { display: inline-block; width: 8px; height: 8px; border-radius: 50%; background: var(--mx-lit); }
.mx-is-paused .mx-chart { background: color-mix(in srgb, var(--mx-fired-fill) 35%, transparent); }

.mx-facts { display: flex; flex-direction: column; min-height: 0; border-inline-start: 1px solid var(--mx-line); background: var(--mx-card); }
.mx-details { flex: 0 1 auto; max-height: 56%; overflow: auto; padding: 12px 14px 4px; }
.mx-card { padding-block-end: 12px; }
.mx-card h3 { padding-block-end: 4px; }
.mx-card-bad h3 { color: var(--mx-bad); }
.mx-event-name { display: flex; justify-content: space-between; gap: 8px; }
.mx-event-name strong { overflow-wrap: anywhere; }
.mx-event-name time, .mx-entry time { font-family: var(--mx-mono); font-size: 11px; color: var(--mx-soft); white-space: nowrap; }
.mx-fields { margin: 2px 0 0; }
.mx-fields > div { display: grid; grid-template-columns: minmax(70px, 38%) minmax(0, 1fr); gap: 8px; padding: 2px 6px; margin: 0 -6px; border-radius: 4px; }
.mx-fields dt { color: var(--mx-soft); overflow-wrap: anywhere; }
.mx-fields dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.mx-fields .mx-fields { grid-column: 1 / -1; border-inline-start: 1px solid var(--mx-line); padding-inline-start: 8px; margin-inline-start: 2px; }
.mx-fields > div:has(> dd > details[open]) { display: block; }
.mx-fields summary { cursor: pointer; color: var(--mx-soft); }
.mx-fields code { font-family: var(--mx-mono); font-size: 12px; }
.mx-number { color: var(--mx-lit); }
.mx-left-out { color: var(--mx-soft); font-style: italic; }
.mx-changed { background: var(--mx-fired-fill); }

.mx-log { flex: 1 1 40%; min-height: 160px; display: flex; flex-direction: column; border-block-start: 1px solid var(--mx-line); padding: 10px 14px; gap: 8px; }
.mx-log-head { display: flex; gap: 8px; align-items: center; }
.mx-scopes { display: flex; flex: none; }
.mx-scopes button { border-radius: 0; margin-inline-start: -1px; padding: 3px 8px; font-size: 12px; }
.mx-scopes button:first-child { border-start-start-radius: 7px; border-end-start-radius: 7px; }
.mx-scopes button:last-child { border-start-end-radius: 7px; border-end-end-radius: 7px; }
.mx-scopes button[aria-pressed='true'] { background: var(--mx-lit-fill); color: var(--mx-lit); font-weight: 600; }
.mx-entries { list-style: none; margin: 0 -8px; padding: 0; overflow: auto; flex: 1; min-height: 0; }
.mx-entries:empty { display: none; }
.mx .mx-entry button {
  display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 0 8px; width: 100%; text-align: start;
  border: 0; border-radius: 6px; background: none; padding: 4px 8px; align-items: baseline;
}
.mx .mx-entry button:hover { background: var(--mx-sunk); }
.mx .mx-entry button[aria-current] { background: var(--mx-fired-fill); }
.mx-entry-what { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 550; }
.mx-entry-who { color: var(--mx-soft); font-size: 12px; max-width: 110px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; text-align: end; }
.mx-entry-value { grid-column: 2; color: var(--mx-soft); font-size: 12px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.mx-entry-us { font-family: var(--mx-mono); font-size: 11px; color: var(--mx-soft); text-align: end; }
.mx-entry-added .mx-entry-what, .mx-entry-ended .mx-entry-what { font-style: italic; font-weight: 400; color: var(--mx-soft); }

@container (max-width: 1020px) {
  .mx { grid-template-columns: minmax(180px, 230px) minmax(0, 1fr); grid-template-rows: auto 1fr; height: auto; min-height: 100%; }
  .mx-side { grid-row: 1 / 3; max-height: 100dvh; position: sticky; top: 0; }
  .mx-stage { min-height: 420px; height: 66vh; }
  .mx-facts { border-inline-start: 0; border-block-start: 1px solid var(--mx-line); }
  .mx-details { max-height: none; }
  .mx-log { min-height: 320px; max-height: 520px; }
}
@container (max-width: 680px) {
  .mx { display: flex; flex-direction: column; }
  .mx-side { position: static; max-height: 38vh; border-inline-end: 0; border-block-end: 1px solid var(--mx-line); }
  .mx-stage { height: 70vh; flex: none; }
  .mx-scrubber { flex-wrap: wrap; }
  .mx-scrubber input[type='range'] { order: 5; flex-basis: 100%; }
}
/* Where the frame has its views at the bottom. */
@media (max-width: 52rem) {
  .view-machines { height: auto; overflow: visible; padding-block-end: 4.5rem; }
}
@media (prefers-reduced-motion: reduce) {
  .mx *, .mx *::before { animation: none !important; transition: none !important; }
  .mx-arrow .mx-flow { display: none; }
}
`
