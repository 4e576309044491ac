// What was measured, file by file; docs/mutation.md holds the table of the last runs.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AREAS, type Area } from './areas.ts'
import { ROOT } from './stryker.ts'

export interface Row {
  readonly file: string
  readonly mutants: number
  /** By a test that failed, or that did not come to its end. */
  readonly tests: number
  readonly types: number
  readonly simulator: number
  readonly equivalent: number
}

const PUBLISHED = join(ROOT, 'docs/mutation.md')
const [BEGIN, END] = ['<!-- table -->', '<!-- end of table -->']
const HEAD =
  '| file | mutants | tests | types | simulator | equivalent | alive | killed |\n|---|---|---|---|---|---|---|---|'

const killedOf = ({ tests, types, simulator }: Row): number => tests + types + simulator
const aliveOf = (row: Row): number => row.mutants - killedOf(row) - row.equivalent

/** Percent of those that are not equivalent. */
export function scoreOf(rows: readonly Row[]): number {
  const [killed, alive] = [sum(rows, killedOf), sum(rows, aliveOf)]
  return killed + alive === 0 ? 100 : (100 * killed) / (killed + alive)
}

export function textOf(rows: readonly Row[]): string {
  const parts = AREAS.map((area) => ({ area, rows: rows.filter(({ file }) => areaOf(file) === area) }))
  const lines = parts.flatMap((part) =>
    part.rows.length === 0
      ? []
      : [
          ...[...part.rows].sort((a, b) => (a.file < b.file ? -1 : 1)).map((row) => lineOf(row.file, [row])),
          lineOf(`**${part.area.path}** (${part.area.required} % required)`, part.rows),
        ],
  )
  return [HEAD, ...lines].join('\n')
}

export const areaOf = (file: string): Area | undefined =>
  AREAS.find(({ path }) => file.startsWith(`${path}/`))

const sum = (rows: readonly Row[], of: (row: Row) => number): number =>
  rows.reduce((total, row) => total + of(row), 0)

function lineOf(title: string, rows: readonly Row[]): string {
  const counts = [
    sum(rows, (row) => row.mutants),
    sum(rows, (row) => row.tests),
    sum(rows, (row) => row.types),
    sum(rows, (row) => row.simulator),
    sum(rows, (row) => row.equivalent),
    sum(rows, aliveOf),
  ]
  return `| ${[title, ...counts, `${scoreOf(rows).toFixed(1)} %`].join(' | ')} |`
}

/** Puts these rows into the published table, in place of older ones of the same files. */
export function publish(rows: readonly Row[]): void {
  const text = readFileSync(PUBLISHED, 'utf8')
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${PUBLISHED} has no place for the table`)
  const measured = new Set(rows.map(({ file }) => file))
  const kept = rowsOf(text.slice(begin, end)).filter(({ file }) => !measured.has(file))
  const table = `${BEGIN}\n\n${textOf([...kept, ...rows])}\n\n`
  writeFileSync(PUBLISHED, text.slice(0, begin) + table + text.slice(end))
}

function rowsOf(table: string): Row[] {
  return table.split('\n').flatMap((line) => {
    const [, file = '', ...numbers] = line.split('|').map((cell) => cell.trim())
    if (!file.startsWith('src/')) return []
    const [mutants = 0, tests = 0, types = 0, simulator = 0, equivalent = 0] = numbers.map(Number)
    return [{ file, mutants, tests, types, simulator, equivalent }]
  })
}
