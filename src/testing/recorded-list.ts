// A list, recorded. Each page is a read of its own, of the revision that its answer names. The application does not see
// where a page ends, and neither does this code until the next record has come: an invocation is noted before each
// record, and taken back if no request was sent for it. A page ends in the history when its last record is known.
//
// If the application stops before the end, the last page is not recorded: which part of it was sent is not known.

import { isUtf8 } from 'node:buffer'
import type { ListedRow, RecordedResult } from '../../jepsen-lite/workload/history.ts'
import type { AnswerInfo, KvRecord, ListOptions } from '../client/types.ts'
import { borders, type ListedRange } from './recorded-single.ts'
import {
  answerFields,
  defined,
  endOf,
  type Method,
  type Recording,
  readFields,
  valueText,
} from './recording.ts'

export const list: Method<'list'> =
  (recording) =>
  (options = {}) =>
    pages(recording, options)

interface Page {
  readonly id: number
  readonly op: ListedRange
  readonly info: AnswerInfo
  readonly rows: ListedRow[]
  /** A key that is not a text cannot be recorded, and without it the page would be wrong. */
  isComplete: boolean
}

async function* pages(recording: Recording, options: ListOptions): AsyncGenerator<KvRecord, void, undefined> {
  const { client, history, name } = recording
  let answered: AnswerInfo | undefined
  const onAnswer = (answerInfo: AnswerInfo): void => {
    answered = answerInfo
    options.onAnswer?.(answerInfo)
  }
  const records = client.list({ ...options, onAnswer })[Symbol.asyncIterator]()
  let page: Page | undefined
  let after: string | undefined
  let left = options.limit ?? Number.POSITIVE_INFINITY
  const close = async (isLast: boolean): Promise<void> => {
    if (page === undefined) return
    const { id, op, rows, info, isComplete } = page
    page = undefined
    if (!isComplete) return history.withdraw(id)
    await history.end(id, { result: resultOf(op, rows, answerFields(info, options.revision), isLast) })
  }
  try {
    for (;;) {
      const op: ListedRange = {
        f: 'range',
        ...borders(options),
        ...readFields(recording, options),
        ...defined<Pick<ListedRange, 'order' | 'keysOnly' | 'after' | 'limit' | 'stream'>>({
          order: options.order,
          keysOnly: options.keysOnly || undefined,
          after,
          limit: left === Number.POSITIVE_INFINITY || left === 0 ? undefined : left,
          stream: (options.snapshot && left === Number.POSITIVE_INFINITY) || undefined,
        }),
      }
      answered = undefined
      const id = history.invoke(name, op)
      let next: IteratorResult<KvRecord, void>
      try {
        next = await records.next()
      } catch (error) {
        if (page !== undefined) history.withdraw(page.id)
        page = undefined
        await history.end(id, endOf(op, error))
        throw error
      }
      if (answered === undefined) history.withdraw(id)
      else {
        await close(false)
        page = { id, op, info: answered, rows: [], isComplete: true }
      }
      if (next.done === true) return await close(true)
      const { keyBytes, modRevision, version, value } = next.value
      if (isUtf8(keyBytes)) after = Buffer.from(keyBytes).toString()
      else if (page !== undefined) page.isComplete = false
      const row = { key: next.value.key, modRevision, version }
      page?.rows.push(options.keysOnly ? row : { ...row, value: valueText(value) })
      left -= 1
      yield next.value
    }
  } finally {
    if (page !== undefined) history.withdraw(page.id)
    await records.return(undefined)
  }
}

function resultOf(
  { limit, stream }: ListedRange,
  rows: readonly ListedRow[],
  answer: RecordedResult,
  isLast: boolean,
): RecordedResult {
  const answerInfo = { rows, ...answer }
  if (stream) return { ...answerInfo, count: rows.length }
  // The application does not learn whether there are keys after the last requested one.
  if (limit !== undefined && rows.length >= limit) return answerInfo
  const last = rows.at(-1)
  return isLast || last === undefined
    ? { ...answerInfo, more: false }
    : { ...answerInfo, more: true, next: last.key }
}
