// The parts of a report that only a simulation of a service has: why it failed, its last steps, and what its processes
// wrote.

import type { History } from '../workload/history.ts'
import { collectOutput } from './data.ts'
import { type Cell, escapeHtml, table } from './html.ts'

/** Why a simulation has failed. */
export interface FailedSimulation {
  /** Code of its error. */
  readonly code: string
  readonly what: string
  /** Virtual time of the failure. */
  readonly timeMs: number
  readonly seed: number
  /** Text of the schedule. Empty: no faults. */
  readonly schedule: string
  /** The last steps of the run, oldest first. */
  readonly steps: readonly string[]
}

/** Lines of output in the table: the last ones, which lead to the failure. */
const LINES_MAX = 1_000

const timeButton = (ms: number, text: string): string =>
  `<button type="button" class="button" data-time="${ms}" title="Show this time in the charts">${escapeHtml(text)}</button>`

export function renderFailureHead({ code, what, timeMs, seed, schedule }: FailedSimulation): string {
  const [first = '', ...more] = what.split('\n')
  const rest = more.length === 0 ? '' : `<pre class="failure">${escapeHtml(more.join('\n'))}</pre>`
  const again = schedule === '' ? `{ seed: ${seed} }` : `{ seed: ${seed}, schedule: '${schedule}' }`
  return `<h1>simulate <span class="workload">seed ${seed}</span></h1>
<p class="verdict failed">✗ <strong>${escapeHtml(code)}</strong> ${escapeHtml(first)}</p>
${rest}
<p class="facts">After ${(timeMs / 1_000).toFixed(3)} s of virtual time ${timeButton(timeMs, 'show')}</p>
<p class="again">Repeat it with: <code>simulate(${escapeHtml(again)}, …)</code></p>`
}

/** Table of the lines that processes have written, with their virtual times. */
export function outputTable(history: History): string {
  const lines = collectOutput(history)
  const rows = lines.slice(-LINES_MAX).map(({ process, timeMs, isError, text }): Cell[] => {
    const words = `<code class="line">${escapeHtml(text)}</code>`
    return [
      { html: timeButton(timeMs, timeMs.toFixed(1)) },
      process,
      isError ? 'stderr' : '',
      { html: words },
    ]
  })
  const caption =
    rows.length < lines.length ? `Output (the last ${rows.length} of ${lines.length} lines)` : 'Output'
  const shown = table(caption, ['ms', 'process', '', 'line'], rows)
  return shown && `<div id="output">${shown}</div>`
}

export function stepsList({ steps }: FailedSimulation): string {
  if (steps.length === 0) return ''
  const lines = steps.map((step) => escapeHtml(step)).join('\n')
  return `<details><summary>The last steps (${steps.length})</summary><section class="steps" tabindex="0" aria-label="The last steps"><pre>${lines}</pre></section></details>`
}
