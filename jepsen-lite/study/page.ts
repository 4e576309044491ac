// The study as one self-contained page, in the style of the report: pictures first, the tables below. No script.

import { escapeHtml, table } from '../report/html.ts'
import { style } from '../report/page.ts'
import { settings } from './markdown.ts'
import type { StudyResults } from './results.ts'
import { tablesOf } from './tables.ts'

export function pageOf(results: StudyResults): string {
  const tables = tablesOf(results).map(
    ({ title, note, heads, rows }) =>
      `<section>${table(title, heads, rows)}<p class="note">${escapeHtml(note)}</p></section>`,
  )
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
</style>
</head>
<body>
<header>
<h1>jepsen-lite <span class="workload">study</span></h1>
<p class="verdict ${results.verdict}"><strong>${results.verdict}</strong></p>
<p>${escapeHtml(settings(results))}</p>
<p class="again">Again: <code>npx ${escapeHtml(results.command)}</code></p>
</header>
<main>
${tables.join('\n')}
</main>
</body>
</html>
`
}
