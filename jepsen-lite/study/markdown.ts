// The study as Markdown: what the command prints, and writes to study.md.

import { LEVELS, MEANINGS } from './levels.ts'
import type { StudyResults } from './results.ts'
import { labelOf, type Table, tablesOf } from './tables.ts'

export function markdownOf(results: StudyResults): string {
  return `${[head(results), levels(results), ...tablesOf(results).map(tableOf)].join('\n\n')}\n`
}

function head({ verdict, findings, findings_count, seed, command, versions, checked }: StudyResults): string {
  const { quorate, node, os, cpu, cores } = versions
  const found = findings.map(({ kind, message }) => `- ${kind}: ${message}`)
  const more = findings_count - findings.length
  return [
    '# One partition, every level of consistency',
    '',
    `Verdict: **${verdict}**. ${checked.operations} operations were checked.`,
    ...(found.length === 0 ? [] : ['', ...found]),
    ...(more > 0 ? [`- … and ${more} more`] : []),
    '',
    `    npx ${command}`,
    '',
    `Seed ${seed}; quorate ${quorate}, Node.js ${node}, ${os}, ${cores} × ${cpu}.`,
  ].join('\n')
}

function levels(results: StudyResults): string {
  return tableOf({
    title: 'The levels',
    note: settings(results),
    heads: ['level', 'asks', 'promises that it'],
    rows: LEVELS.map((level) => [
      labelOf(level, results),
      `\`${MEANINGS[level].asks}\``,
      MEANINGS[level].promise,
    ]),
  })
}

export function settings({ settings: s }: StudyResults): string {
  return (
    `${s.nodes} nodes, ${s.delay_ms} ms from each to each other; the leader ${s.nodes > 4 ? 'and others ' : ''}cut off from a majority (${s.cut}); ${s.rounds} rounds of ` +
    `${s.phase_ms / 1_000} s before, ${s.phase_ms / 1_000} s in and ${s.phase_ms / 1_000} s after the partition; on each side ${s.rate} requests a second of each level, ` +
    `with a deadline of ${s.timeout_ms} ms, to any node of that side; leases ${s.leases ? 'on' : 'off'}.`
  )
}

function tableOf({ title, note, heads, rows }: Table): string {
  const cells = [heads, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')))
  const widths = heads.map((_, at) => Math.max(3, ...cells.map((row) => row[at]?.length ?? 0)))
  const lineOf = (row: readonly string[]): string =>
    `| ${widths.map((width, at) => (row[at] ?? '').padEnd(width)).join(' | ')} |`
  const [first = [], ...others] = cells
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [`## ${title}`, '', note, '', lineOf(first), rule, ...others.map(lineOf)].join('\n')
}
