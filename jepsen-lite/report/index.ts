// The report: a history, what the checker says of it and what a run came to, as one HTML file that needs nothing else.
// README.md tells what it shows.

import type { Verdict } from '../checker/index.ts'
import type { History } from '../history.ts'
import { pageDataOf } from './data.ts'
import { embedJson, escapeHtml } from './html.ts'
import { script, style } from './page.ts'
import {
  eventsTable,
  faultsTable,
  findingsTable,
  headOf,
  keysTable,
  probesTable,
  verdictsTable,
  witnesses,
} from './tables.ts'

export interface Reported {
  readonly history: History
  readonly verdict: Verdict
  /** What a run found besides: see local/results.ts. */
  readonly run?: RunFound | undefined
  /** Of a simulated schedule: what it touched, and how often. */
  readonly probes?: Readonly<Record<string, number>> | undefined
}

export interface RunFound {
  readonly verdict: string
  readonly findings: readonly { readonly kind: string; readonly message: string }[]
  /** Kinds of faults that could not be had, and why. */
  readonly skipped: Readonly<Record<string, string>>
}

export function reportOf(reported: Reported): string {
  const { history, verdict, probes } = reported
  const data = pageDataOf(history, verdict)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeHtml(history.header.workload)} – jepsen-lite</title>
<style>
${style()}
</style>
</head>
<body>
${headOf(reported)}
<main>
${findingsTable(reported)}
${TIMELINE}
${witnesses(verdict)}
${verdictsTable(verdict)}
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
<label>key <select name="key"><option value="-1">all</option></select></label>
<label>client <select name="client"><option value="-1">all</option></select></label>
<label>outcome <select name="outcome"><option value="">all</option><option value="ok">ok</option><option value="fail">failed</option><option value="unknown">unknown</option></select></label>
<span class="buttons"><button type="button" name="in" title="Zoom in (+)" aria-label="Zoom in">+</button><button type="button" name="out" title="Zoom out (-)" aria-label="Zoom out">−</button><button type="button" name="fit" title="Show all (0)">all</button><button type="button" name="misfit" title="The first operation that fits nowhere (n: the next)">what fits nowhere</button></span>
<span id="window" class="window"></span>
</form>
<div id="panels" tabindex="0" role="application" aria-label="Operations over time. Left and right: the operation before and after, of the same client; up and down: another client; plus and minus: zoom; 0: all; n: the next operation that fits nowhere; Escape: let go." aria-describedby="detail"></div>
<aside id="detail" role="status" aria-live="polite"></aside>
<details class="legend"><summary>How to read and to steer it</summary>
<ul>
<li><b>Operations.</b> A filled bar was answered: strong is a change, weak a read. A hollow one with a cross at its end certainly failed. A hatched one with an open end is of unknown outcome: it may have happened at any time from its start on.</li>
<li><b>Points.</b> The mark on a bar is where the operation may have happened, in the order that the checker found; with one key chosen a line leads from each to the next. An unknown operation without one need not have happened. What fits nowhere has a thick frame and a flag, and a dashed line through all charts (a plain one is where a rule inside of the store broke), and the order shown is the longest beginning that could be explained.</li>
<li><b>Nodes.</b> Leaders are filled and bear their term, followers are weak, candidates striped, stopped processes dotted, and what does not run is an empty dashed line. ▲ elected, ✕ killed, ● started, ‖ paused, ▸ resumed, ⌫ wiped, ■ ended.</li>
<li><b>Faults.</b> A band for each, dashed where nothing showed that it took effect; shaded through all charts. The nodes that it hit are underlined.</li>
<li><b>Steering.</b> Drag to move, Ctrl and the wheel or + and − to zoom, double click to zoom in, click to keep an operation; drag in the overview to go there. Keyboard: focus the charts, then arrows, Shift and arrows to move, 0, n, Escape.</li>
</ul></details>
<noscript><p>The charts need the script in this file; the tables do not.</p></noscript>
</section>`
