// The study as one self-contained page without scripts, in the style of the report: findings, pictures, tables.

import { escapeHtml, table } from '../report/html.ts'
import { style } from '../report/page.ts'
import { LEVELS, MEANINGS } from './levels.ts'
import { headings, settings } from './markdown.ts'
import type { Request } from './measure.ts'
import { PICTURES_STYLE, picturesOf } from './pictures.ts'
import type { StudyResults } from './results.ts'
import { labelOf, type Table, tablesOf } from './tables.ts'

export function pageOf(results: StudyResults, requests: readonly Request[]): string {
  const { verdict, findings, command, settings: set } = results
  const [summary, ...details] = tablesOf(results)
  const found = findings.map(({ kind, message }) => [kind, message])
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>study – jepsen-lite</title>
<style>
${style()}
${PICTURES_STYLE}</style>
</head>
<body>
<header>
<h1>jepsen-lite <span class="workload">study</span></h1>
<p class="verdict ${verdict}"><strong>${verdict}</strong></p>
<p>${headings(results).map(escapeHtml).join(' · ')}</p>
<p class="note">${escapeHtml(settings(results))}</p>
<p class="again">Repeat it with: <code>npx ${escapeHtml(command)}</code></p>
</header>
<main>
${table('What is wrong', ['kind', 'what'], found)}
${summary === undefined ? '' : sectionOf(summary)}
${picturesOf(requests, set.phase_ms, (level) => labelOf(level, results))}
${table('The levels', ['level', 'what is sent', 'what is promised'], levelRows(results))}
${details.map(sectionOf).join('\n')}
</main>
</body>
</html>
`
}

const levelRows = (results: StudyResults): string[][] =>
  LEVELS.map((level) => [labelOf(level, results), MEANINGS[level].asks, MEANINGS[level].promise])

const sectionOf = ({ title, note, heads, rows }: Table): string =>
  `<section>${table(title, heads, rows)}<p class="note">${escapeHtml(note)}</p></section>`
