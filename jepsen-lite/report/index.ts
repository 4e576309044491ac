// The report: a history, the verdict of the checker and the results of a run, as one self-contained HTML file.
// README.md explains what it shows.

import { buildPageData } from './data.ts'
import { outputTable, stepsList } from './failed-simulation.ts'
import { embedJson, escapeHtml } from './html.ts'
import { script, style } from './page.ts'
import type { ReportSources } from './report-sources.ts'
import {
  eventsTable,
  faultsTable,
  findingsTable,
  keysTable,
  probesTable,
  renderHead,
  verdictsTable,
  witnesses,
} from './tables.ts'

export type { ReportSources }

export function renderReport(reported: ReportSources): string {
  const { history, verdict, probes, failure } = reported
  const data = buildPageData(history, verdict)
  const title =
    failure === undefined ? `${history.header.workload} – jepsen-lite` : `simulate, seed ${failure.seed}`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>
${style()}
</style>
</head>
<body>
${renderHead(reported)}
<main>
${findingsTable(reported)}
${TIMELINE}
${outputTable(history)}
${failure === undefined ? '' : stepsList(failure)}
${witnesses(verdict)}
${verdictsTable(reported)}
${faultsTable(data.faults, history, reported.run)}
${probesTable(probes)}
${keysTable(verdict)}
${eventsTable(history)}
</main>
<script type="application/json" id="data">${embedJson(data)}</script>
<script>
${script()}
</script>
</body>
</html>
`
}

/** Filled by the script. */
const TIMELINE = `<section id="timeline" aria-label="Timeline">
<form id="controls" class="controls" aria-label="What the timeline shows">
<label><span class="field-label">key</span> <select class="input" name="key"><option value="-1">all</option></select></label>
<label><span class="field-label">client</span> <select class="input" name="client"><option value="-1">all</option></select></label>
<label><span class="field-label">outcome</span> <select class="input" name="outcome"><option value="">all</option><option value="ok">ok</option><option value="fail">failed</option><option value="unknown">unknown</option></select></label>
<span class="buttons"><button type="button" class="button" name="in" title="Zoom in (+)" aria-label="Zoom in">+</button><button type="button" class="button" name="out" title="Zoom out (-)" aria-label="Zoom out">−</button><button type="button" class="button" name="fit" title="Show all (0)">all</button><button type="button" class="button" name="misfit" title="The next operation that fits nowhere (n)">what fits nowhere</button></span>
<span id="window" class="window"></span>
</form>
<div id="panels" tabindex="0" role="application" aria-label="Operations over time. Left and right: the previous and the next operation of the same client; up and down: another client; plus and minus: zoom; 0: show all; n: the next operation that fits nowhere; Escape: end the selection." aria-describedby="detail"></div>
<aside id="detail" role="status" aria-live="polite" aria-label="What is selected" tabindex="0"></aside>
<details class="legend"><summary>How to read and use the charts</summary>
<ul>
<li><b>Operations.</b> A filled bar was answered: blue is a change, grey is a read. A hollow bar with a cross at its end certainly failed. A striped bar with an open end has an unknown outcome: it may have happened at any time after its start.</li>
<li><b>Points.</b> The mark on a bar is the time at which the operation may have happened, in the order that the checker found. If one key is selected, a line connects the marks. An unknown operation without a mark may not have happened. An operation that fits nowhere has a thick frame and a flag, and a dashed line goes through all charts; then the marks show the longest order that could be explained. A solid line with ✗ marks the time at which a rule inside the store was broken, or a simulation failed.</li>
<li><b>Nodes.</b> Each bar shows the role and the term of a node. Leaders are filled, followers and learners are pale with a frame; candidates are striped, paused processes are dotted, and a process that does not run is a dashed line. ▲ elected, ✕ killed, ● started, ‖ paused, ▸ resumed, ⌫ wiped, ■ ended.</li>
<li><b>Processes.</b> Those of a simulation: a pale bar runs, a dotted one is paused or its event loop is blocked, a dashed line was killed. Below a bar stands what the process wrote, from the time at which it wrote it; ! is stderr. Point there to read the last lines.</li>
<li><b>Faults.</b> Each fault has a band. It is dashed if no effect was seen; otherwise the charts of operations are shaded while it lasts. The nodes and processes that it hit are underlined.</li>
<li><b>Control.</b> Drag to move, Ctrl and the wheel or + and − to zoom, double click to zoom in, click to select an operation; drag in the overview to go there. Keyboard: focus the charts; then the arrows select operations, Shift with left and right moves, and 0, n and Escape work as described above.</li>
</ul></details>
<noscript><p>The charts need the script in this file; the tables do not.</p></noscript>
</section>`
