// kv history KEY: the changes of a key that the store still has, the oldest first.

import { Command } from '@commander-js/extra-typings'
import {
  type Client,
  CompactedError,
  type KvRecord,
  QuorateError,
  type WatchEvent,
} from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { keyArgument } from '../flags/arguments.ts'
import { toJsonLine } from '../format/json.ts'
import { printableText } from '../format/text.ts'
import { formatWord } from '../format/word.ts'
import { type Format, write, writeLine } from '../terminal/output.ts'
import { type Column, isTable, RowWriter } from '../terminal/table.ts'
import { eventJson } from './watch.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('history'), ['kv history greeting', 'kv history greeting -o ndjson'])
    .description('print the changes of a key that the store still has, the oldest first')
    .argument('<key>')
    .action(async (name) => {
      const key = keyArgument(name)
      await withContext(flags(), { kind: 'read' }, async ({ client, format, timeoutMs, signal }) => {
        const hasColumns = format !== 'json' && format !== 'ndjson'
        const hasWriters = hasColumns && (await client.auth.status({ signal })).enabled
        const rows = new Rows(format, hasWriters)
        for await (const event of readChanges(client, key, { timeoutMs, signal })) await rows.add(event)
        if (rows.count === 0)
          throw new Failure(EXIT.notFound, `there is no change of ${key} in the history that is kept`)
        await rows.end()
      })
    })

/** Interval at which a node reports that it has sent everything. */
const PROGRESS_MS = 100

/**
 * The record that the history begins with, if there is one, as a put; then each change up to now. `timeoutMs`: how long
 * no node may serve it, also after it has begun.
 */
async function* readChanges(
  client: Client,
  key: string,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): AsyncGenerator<WatchEvent> {
  let from = 1
  let time = true
  for (;;) {
    let isWhole = false
    await using changes = client.watch({
      key,
      fromRevision: from,
      time,
      progressMs: PROGRESS_MS,
      timeoutMs,
      signal,
      onProgress: (revision) => {
        isWhole = revision >= now
        if (isWhole) void changes.close()
      },
    })
    let now = Number.POSITIVE_INFINITY
    try {
      now = await changes.ready
      if (changes.revision >= now) return
      for await (const { revision, events } of changes) {
        yield* events
        if (revision >= now) return
      }
      return
    } catch (error) {
      if (isWhole) return
      // A node of version 0.1.0.
      const knowsNoTime = time && error instanceof QuorateError && error.code === 'unknown_parameter'
      if (knowsNoTime) {
        time = false
        continue
      }
      if (!(error instanceof CompactedError) || from > 1) throw error
      const { compactRevision = (error.resumeFrom ?? 1) - 1 } = error
      from = compactRevision + 1
      const oldest = await client.get(key, { revision: compactRevision, time, signal })
      if (oldest !== undefined) yield asPut(oldest)
    }
  }
}

const asPut = (kv: KvRecord): WatchEvent => ({ type: 'put', key: kv.key, keyBytes: kv.keyBytes, kv })

const eventRevision = (event: WatchEvent) => (event.type === 'put' ? event.kv.modRevision : event.modRevision)

const originOf = (event: WatchEvent) => (event.type === 'put' ? event.kv : event)

const BY: Column<WatchEvent> = { title: 'BY', cell: (event) => originOf(event).by }

const TIME: Column<WatchEvent> = {
  title: 'TIME',
  cell: (event) => {
    const { time } = originOf(event)
    return time && localTime(time)
  },
}

/** For people. What programs print is in UTC. */
const localTime = (time: Date): string =>
  `${time.getFullYear()}-${twoDigits(time.getMonth() + 1)}-${twoDigits(time.getDate())} ` +
  `${twoDigits(time.getHours())}:${twoDigits(time.getMinutes())}:${twoDigits(time.getSeconds())}`

const twoDigits = (value: number): string => String(value).padStart(2, '0')

class Rows {
  count = 0
  readonly #format: Format
  readonly #table: RowWriter<WatchEvent>

  /** `hasWriters`: rights are checked, so versions have writers. */
  constructor(format: Format, hasWriters: boolean) {
    this.#format = format
    const textOf = isTable(format) ? printableText : formatWord
    this.#table = new RowWriter<WatchEvent>(
      [
        { title: 'REVISION', cell: eventRevision, alignRight: true },
        // Scripts have it in JSON.
        ...(isTable(format) ? [TIME] : []),
        { title: 'CHANGE', cell: ({ type }) => type },
        {
          title: 'VERSION',
          cell: (event) => (event.type === 'put' ? event.kv.version : undefined),
          alignRight: true,
        },
        { title: 'VALUE', cell: (event) => (event.type === 'put' ? textOf(event.kv.value) : undefined) },
        ...(hasWriters ? [BY] : []),
      ],
      format,
    )
  }

  async add(event: WatchEvent): Promise<void> {
    const json = { revision: eventRevision(event), ...eventJson(event) }
    this.count += 1
    if (this.#format === 'ndjson') await writeLine(toJsonLine(json))
    else if (this.#format === 'json') await write(`${this.count === 1 ? '[' : ','}\n  ${toJsonLine(json)}`)
    else await this.#table.add(event)
  }

  async end(): Promise<void> {
    if (this.#format === 'json') await writeLine('\n]')
    else if (this.#format !== 'ndjson') await this.#table.end()
  }
}
