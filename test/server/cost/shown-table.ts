// The tables of src/server/README.md.

import { readFileSync } from 'node:fs'

/** The lines below the header of a table that begins with these columns. */
export function shownTable(columns: string): string[] {
  const readme = readFileSync(new URL('../../../src/server/README.md', import.meta.url), 'utf8').split('\n')
  const from = readme.findIndex((line) => line.startsWith(`| ${columns} |`)) + 2
  return readme.slice(from, readme.indexOf('', from))
}
