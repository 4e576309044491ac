// A list, recorded. Each page is a read of its own, of the revision that its answer names. The application does not see
// where a page ends, and neither does this code until the next record has come: an invocation is noted before each
// record, and taken back if no request was sent for it. A page ends in the history when its last record is known.
//
// If the application stops before the end, the last page is recorded with the rows that it has taken, as a page of that
// many rows.

import { ownBorders } from '../../src/client/list.ts'
import type { AnswerInfo, KvRecord, ListOptions } from '../../src/client/types.ts'
import type { ListedRow, RecordedResult } from '../workload/history.ts'
import { borders, type ListedRange } from './recorded-single.ts'
import {
  answerFields,
  defined,
  endFromError,
  keyText,
  type Method,
  type Recording,
  readFields,
  valueText,
} from './recording.ts'

export const list: Method<'list'> =
  (recording) =>
  (options = {}) =>
    pages(recording, ownBorders(options))

interface Page {
  readonly id: number
  readonly op: ListedRange
  readonly info: AnswerInfo
  readonly rows: ListedRow[]
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
    const { id, op, rows, info } = page
    page = undefined
    await history.end(id, { result: listResult(op, rows, answerFields(info, options.revision), isLast) })
  }
  const leave = async (): Promise<void> => {
    if (page === undefined) return
    const { id, rows, info } = page
    const { stream: _, ...op } = page.op
    page = undefined
    history.narrow(id, { ...op, limit: rows.length })
    await history.end(id, { result: { rows, ...answerFields(info, options.revision) } })
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
        await leave()
        await history.end(id, endFromError(op, error))
        throw error
      }
      if (answered === undefined) history.withdraw(id)
      else {
        await close(false)
        page = { id, op, info: answered, rows: [] }
      }
      if (next.done === true) return await close(true)
      const { keyBytes, modRevision, version, value } = next.value
      after = keyText(keyBytes)
      const row = { key: after, modRevision, version }
      page?.rows.push(options.keysOnly ? row : { ...row, value: valueText(value) })
      left -= 1
      yield next.value
    }
  } finally {
    await leave()
    await records.return(undefined)
  }
}

function listResult(
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
