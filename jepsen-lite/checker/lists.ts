// Guarantees of a list. A page may end early, at its own limit. Then it covers the keys up to its last row and none
// after it. The search and revision-history.ts check that its rows existed and that missing rows did not. This file
// checks what holds for every list:
//
//   its rows rise (or fall, where that was asked for), so each key is there once; they lie in the range, and are no more than asked for
//   `more` says that there are further keys, and `next` is where to continue: the last row
//   `count` is the number of all keys in the range at that revision, where it was asked for
//   values are there, unless they were not requested

import type { HistoryCall, RecordedRange, RecordedResult } from '../workload/history.ts'
import type { Anomaly } from './anomaly.ts'
import { compareKeys, contains, type KeyInterval } from './keys.ts'
import { isPartial, listedInterval, remainingInterval } from './list-range.ts'

/** Knows how many keys there were. */
export interface KeyCounts {
  /** Limits on the number of keys in a range at a revision. `end`: position of the answer that has the number. */
  countKeys(
    range: KeyInterval,
    revision: number,
    end: number,
  ): { readonly least: number; readonly most: number }
}

/** `end` is the position of the answer. */
export function checkList(
  call: HistoryCall,
  op: RecordedRange,
  result: RecordedResult,
  end: number,
  keyCounts: KeyCounts,
): Anomaly[] {
  const messages = [...brokenRows(op, result), ...brokenCount(op, result, end, keyCounts)]
  const nothing = nothingBehind(op, result, end, keyCounts)
  if (nothing !== undefined) messages.push(nothing)
  return messages.map((message) => ({
    check: 'lists',
    key: undefined,
    message: `operation ${call.id} ${message}`,
    calls: [call.id],
  }))
}

function brokenRows(op: RecordedRange, result: RecordedResult): string[] {
  const { rows, more, next } = result
  if (rows === undefined) return []
  const messages: string[] = []
  const sign = op.order === 'desc' ? -1 : 1
  const rest = remainingInterval(op)
  for (const [at, { key }] of rows.entries()) {
    const before = rows[at - 1]?.key
    if (before === key) messages.push(`lists ${key} twice`)
    else if (before !== undefined && sign * compareKeys(before, key) > 0)
      messages.push(`lists ${key} behind ${before}: in the wrong order`)
    if (!contains(rest, key)) messages.push(`lists ${key}, which is not in the requested range`)
    if (messages.length > 0) break
  }
  const valued = rows.find(({ value }) => (value === undefined) !== (op.keysOnly === true))
  if (valued !== undefined)
    messages.push(
      `lists ${valued.key} ${op.keysOnly ? 'with its value, which was not' : 'without its value, which was'} requested`,
    )
  const limit = op.countOnly ? 0 : op.limit
  if (limit !== undefined && rows.length > limit)
    messages.push(`lists ${rows.length} rows, ${limit} at most were requested`)
  const last = rows.at(-1)?.key
  if (more !== true && next !== undefined)
    messages.push(`says to continue after ${next}, although there is no more`)
  if (more === true && last === undefined)
    messages.push('says that there is more, and shows nothing to continue from')
  else if (more === true && op.stream !== true && next !== last)
    messages.push(`says to continue after ${next ?? 'nothing'}; its last row is ${last ?? 'none'}`)
  return messages
}

function brokenCount(op: RecordedRange, result: RecordedResult, end: number, keyCounts: KeyCounts): string[] {
  const { count, rows, revision } = result
  const wantsCount = op.count === true || op.countOnly === true
  if (count === undefined)
    return wantsCount || op.stream
      ? [`was requested with a count${op.stream ? ' of what was sent' : ''} and returned none`]
      : []
  if (op.stream && !op.countOnly)
    return rows !== undefined && rows.length !== count
      ? [`says that it sent ${count} rows, and sent ${rows.length}`]
      : []
  if (!wantsCount) return ['counted without a request to']
  const shown = rows?.length ?? 0
  const whole = rows !== undefined && !op.countOnly && op.after === undefined
  if (whole && (isPartial(op, result) ? count < shown + (result.more ? 1 : 0) : count !== shown))
    return [
      `counts ${count} keys in its range and shows ${shown}${result.more ? ' and says that there are more' : ''}`,
    ]
  if (revision === undefined) return []
  const { least, most } = keyCounts.countKeys(listedInterval(op), revision, end)
  return count < least || count > most
    ? [
        `counts ${count} keys at revision ${revision}, when there were ${least === most ? '' : `${least} to `}${most}`,
      ]
    : []
}

/** The list says that there are more keys, and there cannot be. */
function nothingBehind(
  op: RecordedRange,
  { rows, more, revision }: RecordedResult,
  end: number,
  keyCounts: KeyCounts,
): string | undefined {
  if (more !== true || revision === undefined || op.countOnly) return undefined
  const last = rows?.at(-1)?.key
  const rest = remainingInterval(last === undefined ? op : { ...op, after: last })
  return keyCounts.countKeys(rest, revision, end).most === 0
    ? `says that there is more behind ${last ?? 'nothing'}, but at revision ${revision} there was nothing`
    : undefined
}
