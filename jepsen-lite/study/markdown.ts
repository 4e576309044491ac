// The study as Markdown, which the command prints and writes to study.md.

import { LEVELS, MEANINGS } from './levels.ts'
import type { StudyResults } from './results.ts'
import { buildTables, levelLabel, type StudyTable } from './tables.ts'

/** Follows the text in study.md. */
export const PICTURES = `## Answered requests, for each tenth of a second

The height of a bar is the fraction of the requests sent in that tenth of a second that were answered, over all rounds.
A request that was sent in the partition counts as answered only if the answer came before the partition ended.

![Answered requests](answered.svg)

## How old stale answers were

Medians of each tenth of a second. No answer may claim less than it is behind.

![Ages of stale answers](ages.svg)
`

/** `columns`: the width of the terminal that shows it. A wider table becomes a list. */
export function renderMarkdown(results: StudyResults, columns = Number.POSITIVE_INFINITY): string {
  const tables = [levels(results), ...buildTables(results)]
  return `${[head(results), ...tables.map((table) => renderTable(table, columns))].join('\n\n')}\n`
}

function head(results: StudyResults): string {
  const { verdict, findings, findings_count, command } = results
  const found = findings.map(({ kind, message }) => `- ${kind}: ${message}`)
  const more = findings_count - findings.length
  return [
    '# One partition, every level of consistency',
    '',
    `Verdict: **${verdict}**. ${headings(results).join('; ')}.`,
    ...(found.length === 0 ? [] : ['', ...found]),
    ...(more > 0 ? [`- … and ${more} more`] : []),
    '',
    `    npx ${command}`,
  ].join('\n')
}

/** How much was checked, the seed, and on which versions and machine. */
function headings({ seed, versions, checked }: StudyResults): string[] {
  const { quorate, node, os, cpu, cores } = versions
  return [
    `${checked.operations.toLocaleString('en')} operations checked`,
    `seed ${seed}`,
    `quorate ${quorate}, Node.js ${node}, ${os}, ${cores} × ${cpu}`,
  ]
}

function levels(results: StudyResults): StudyTable {
  return {
    title: 'The levels',
    note: settings(results),
    heads: ['level', 'what is sent', 'what is promised'],
    rows: LEVELS.map((level) => [
      levelLabel(level, results),
      `\`${MEANINGS[level].request}\``,
      MEANINGS[level].promise,
    ]),
  }
}

function settings({ settings: s }: StudyResults): string {
  const cutOff =
    s.nodes > 4 ? 'the leader and fewer than half of the followers are cut off' : 'the leader is cut off'
  const how = s.cut === 'silent' ? 'no bytes pass, without a notice' : 'connections are reset and refused'
  const { before, during, after } = s.phase_ms
  return (
    `${s.nodes} nodes; each message between two nodes is delayed by ${s.delay_ms} ms; ${cutOff} (${how}); ${s.rounds} ${s.rounds === 1 ? 'round' : 'rounds'} of ` +
    `${before / 1_000} s before, ${during / 1_000} s in and ${after / 1_000} s after the partition; on each side ${s.rate} requests a second at each level, ` +
    `with a deadline of ${s.timeout_ms} ms, to nodes of that side; leases ${s.leases ? 'on' : 'off'}.`
  )
}

function renderTable({ title, note, heads, rows }: StudyTable, columns: number): string {
  const cells = [heads, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')))
  const widths = heads.map((_, at) => Math.max(3, ...cells.map((row) => row[at]?.length ?? 0)))
  const renderLine = (row: readonly string[]): string =>
    `| ${widths.map((width, at) => (row[at] ?? '').padEnd(width)).join(' | ')} |`
  const [first = [], ...others] = cells
  if (renderLine(first).length > columns) {
    const items = rows.map((row) =>
      row.map((cell, at) => (at === 0 ? `- ${cell}` : `  ${heads[at]}: ${cell}`)),
    )
    return [`## ${title}`, '', note, '', ...items.flat()].join('\n')
  }
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [`## ${title}`, '', note, '', renderLine(first), rule, ...others.map(renderLine)].join('\n')
}
