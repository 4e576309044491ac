// How the commands write numbers, times and tables for people. The JSON has all digits.

import { styleText } from 'node:util'

export const number = (value: number): string => value.toLocaleString('en')

/** `1 node`, `1,200 nodes`. */
export const plural = (count: number, one: string): string =>
  `${number(count)} ${one}${count === 1 ? '' : 's'}`

/** A measured time: `134 ms`, `3.1 s`, `12 min`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  const seconds = ms / 1_000
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${number(Math.round(seconds / 3_600))} h`
}

/** Prints on stdout, with colours only on a terminal. */
export const coloured = (colour: 'green' | 'red', text: string): string =>
  styleText(colour, text, { stream: process.stdout })

/** The lines of a table. The first column is aligned left, the others right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>((widest, row) => {
    row.forEach((cell, at) => {
      widest[at] = Math.max(widest[at] ?? 0, cell.length)
    })
    return widest
  }, [])
  return rows.map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}
