// The study as one self-contained page without scripts, in the style of the report: findings, pictures, tables.

import { escapeHtml, table } from '../report/html.ts'
import { style } from '../report/page.ts'
import { LEVELS, MEANINGS } from './levels.ts'
import { headings, settings } from './markdown.ts'
import type { Pictures } from './pictures.ts'
import type { StudyResults } from './results.ts'
import { labelOf, type StudyTable, tablesOf } from './tables.ts'

export function pageOf(results: StudyResults, pictures: Pictures): string {
  const { verdict, findings, command } = results
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
${STYLE}</style>
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
<section class="pictures">
<h2>Answered requests, for each tenth of a second</h2>
<p class="note">The height of a bar is the fraction of the requests sent in that tenth of a second that were answered, over all rounds. A request that was sent in the partition counts as answered only if the answer came before the partition ended. No bar: no request was answered.</p>
${pictures.answered}
<h2>How old stale answers were</h2>
<p class="note">Medians of each tenth of a second. Behind: the time between the acknowledgement of the first write that the answer does not show and the sending of the read. Claimed: the bound that the answer itself gave. No answer may claim less than it is behind.</p>
${pictures.ages}
</section>
${table('The levels', ['level', 'what is sent', 'what is promised'], levelRows(results))}
${details.map(sectionOf).join('\n')}
</main>
</body>
</html>
`
}

const levelRows = (results: StudyResults): string[][] =>
  LEVELS.map((level) => [labelOf(level, results), MEANINGS[level].request, MEANINGS[level].promise])

const sectionOf = ({ title, note, heads, rows }: StudyTable): string =>
  `<section>${table(title, heads, rows)}<p class="note">${escapeHtml(note)}</p></section>`

const STYLE = `
.note { max-width: 75rem; margin: 0.3rem 0 0.6rem; color: var(--faint); font-size: 0.85rem; }
.pictures h2 { margin-top: 1.5rem; font-size: 1rem; }
.picture { display: block; width: 100%; min-width: 40rem; max-width: 60rem; }
.pictures { overflow-x: auto; }
section th, section td { overflow-wrap: normal; }
section td { white-space: nowrap; }
td { font-variant-numeric: tabular-nums; }
section > .table { margin-bottom: 0.2rem; }
`
