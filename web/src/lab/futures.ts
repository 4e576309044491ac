// Futures that the run has left: an action at an earlier moment, or undo, forgets lines. Each such schedule is kept. It
// can be opened again at the moment where it differs.

import { headOf, type LinkLine, linkLines } from './link-lines.ts'

/** How many are kept. */
const FUTURES_MAX = 8

export interface Future {
  readonly link: string
  /** Its first line that the run does not have. */
  readonly line: LinkLine
  /** Its lines from there on. */
  readonly count: number
}

/** The lines of the first link that the second one lacks. */
function missing(link: string, other: string): LinkLine[] {
  const left = linkLines(other).map(({ text }) => text)
  return linkLines(link).filter(({ text }) => {
    const at = left.indexOf(text)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

/** The futures after the run has changed from one link to another, the newest first. */
export function futuresAfter(futures: readonly Future[], before: string, after: string): readonly Future[] {
  if (before === after) return futures
  const others = futures.filter(({ link }) => link !== before)
  // Each is described by what the run lacks of it now.
  return [before, ...others.map(({ link }) => link)]
    .filter((link) => headOf(link) === headOf(after))
    .flatMap((link) => {
      const lines = missing(link, after)
      const [line] = lines
      return line === undefined ? [] : [{ link, line, count: lines.length }]
    })
    .slice(0, FUTURES_MAX)
}

/** Text for the store of the browser. `parseFutures` ignores any other text. */
export const formatFutures = (futures: readonly Future[]): string =>
  JSON.stringify(futures.map(({ link }) => link))

export function parseFutures(text: string | null, link: string): readonly Future[] {
  try {
    const links: unknown = JSON.parse(text ?? '[]')
    if (!Array.isArray(links)) return []
    return links
      .toReversed()
      .reduce<readonly Future[]>(
        (futures, other) => (typeof other === 'string' ? futuresAfter(futures, other, link) : futures),
        [],
      )
  } catch {
    return []
  }
}
