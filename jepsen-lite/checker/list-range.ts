// Which keys a list was asked for, and for which of them its rows are complete.

import type { RecordedRange, RecordedResult } from '../workload/history.ts'
import { compareKeys, type KeyInterval, keyAfter, prefixEnd } from './keys.ts'

/** The whole range. */
export function listedInterval({ prefix, start, end }: RecordedRange): KeyInterval {
  return prefix === undefined ? { from: start ?? '', to: end } : { from: prefix, to: prefixEnd(prefix) }
}

/** The part of the range after `after`. */
export function remainingInterval(op: RecordedRange): KeyInterval {
  const { from, to } = listedInterval(op)
  const { after } = op
  if (after === undefined) return { from, to }
  if (op.order === 'desc') return { from, to: to === undefined || compareKeys(after, to) < 0 ? after : to }
  const next = keyAfter(after)
  return { from: compareKeys(from, next) < 0 ? next : from, to }
}

/** The interval for which the rows are complete; undefined: none. */
export function coveredBy(op: RecordedRange, result: RecordedResult): KeyInterval | undefined {
  const { rows } = result
  if (rows === undefined || op.countOnly) return undefined
  const rest = remainingInterval(op)
  if (!isPartial(op, result)) return rest
  const last = rows.at(-1)?.key
  if (last === undefined) return undefined
  return op.order === 'desc' ? { from: last, to: rest.to } : { from: rest.from, to: keyAfter(last) }
}

export const isPartial = ({ limit }: RecordedRange, { more, rows = [] }: RecordedResult): boolean =>
  more ?? (limit !== undefined && rows.length >= limit)
