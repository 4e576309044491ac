// kv import FILE.ndjson | DIR: many writes, some at a time, each of them applied at most once.
//
// A fail-over must not end an import: each write is tried for up to a minute by the client, under one idempotency key. What the
// cluster will never take (too large, …) is skipped and named; anything else ends the import.

import { statSync } from 'node:fs'
import { type Client, QuorateError } from '../../client/index.ts'
import { Failure } from '../cluster/failure.ts'
import { EXIT } from '../exit-codes.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { filesIn } from '../import-files.ts'
import { linesOfFile } from '../import-lines.ts'
import { printable, say, toJson, writeLine } from '../output.ts'
import { megabytes, Progress } from '../progress.ts'
import { inSession, type Session } from '../session.ts'

const WRITES_AT_ONCE = 32
/** Without --timeout, a write is tried this long: longer than any fail-over, a pause or a restart of the cluster. */
const TIMEOUT_MS = 60_000
/** These are properties of the one file: the import goes on. */
const SKIPPED = new Set(['value_too_large', 'request_too_large', 'key_too_long', 'key_empty'])

/** One key to write, or something that is not stored, and why. */
export type ImportItem =
  | {
      readonly kind: 'write'
      readonly name: string
      readonly key: Uint8Array
      readonly value: () => Uint8Array
    }
  | { readonly kind: 'skip'; readonly name: string; readonly reason: string }

export interface ImportFlags {
  readonly prefix?: string | undefined
  readonly strict?: true | undefined
}

export async function importInto(global: GlobalFlags, source: string, flags: ImportFlags): Promise<void> {
  const needs = { timeoutMs: TIMEOUT_MS, unreachableAfterMs: TIMEOUT_MS }
  await inSession(
    global,
    { kind: 'write', check: 'kv ls', fromFiles: true },
    async (session) => {
      const bytesMax = await valueBytesMax(session)
      const items = source !== '-' && isDirectory(source) ? filesIn(source, bytesMax) : linesOfFile(source)
      const totals = new Totals()
      try {
        await writeAll(session.client, session.signal, items, Buffer.from(flags.prefix ?? ''), totals)
      } catch (error) {
        totals.progress.clear()
        say(`stopped after ${totals.sentence()}`)
        throw error
      }
      totals.progress.clear()
      if (session.format === 'json' || session.format === 'ndjson') {
        const json = totals.json()
        await writeLine(session.format === 'json' ? toJson(json) : JSON.stringify(json))
      } else say(`imported ${totals.sentence()}`)
      if (flags.strict === true && totals.skipped > 0) {
        throw new Failure(EXIT.failed, `${totals.skipped} skipped, and --strict was given`)
      }
    },
    needs,
  )
}

class Totals {
  readonly progress = new Progress()
  written = 0
  skipped = 0
  bytes = 0

  wrote(bytes: number): void {
    this.written += 1
    this.bytes += bytes
    this.progress.show(() => `imported ${this.sentence()}`)
  }

  skip(name: string, reason: string): void {
    this.skipped += 1
    this.progress.clear()
    say(`skipped ${printable(name)}: ${reason}`)
  }

  sentence(): string {
    const skipped = this.skipped === 0 ? '' : `, ${this.skipped} skipped`
    const keys = this.written === 1 ? '1 key' : `${this.written} keys`
    return `${keys}, ${megabytes(this.bytes)} in ${this.progress.seconds.toFixed(1)} s${skipped}`
  }

  json(): object {
    return {
      imported: this.written,
      skipped: this.skipped,
      bytes: this.bytes,
      seconds: Number(this.progress.seconds.toFixed(3)),
    }
  }
}

async function writeAll(
  client: Client,
  signal: AbortSignal,
  items: Iterable<ImportItem> | AsyncIterable<ImportItem>,
  prefix: Uint8Array,
  totals: Totals,
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  let failed = false
  const worker = async () => {
    while (!failed) {
      const next = await iterator.next()
      if (next.done === true) return
      const item = next.value
      if (item.kind === 'skip') totals.skip(item.name, item.reason)
      else await writeOne(client, signal, item, prefix, totals)
    }
  }
  const workers = Array.from({ length: WRITES_AT_ONCE }, () =>
    worker().catch((error: unknown) => {
      failed = true
      throw error
    }),
  )
  // All of them come to an end before anything is said, whichever failed first.
  const ends = await Promise.allSettled(workers)
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

async function writeOne(
  client: Client,
  signal: AbortSignal,
  item: Extract<ImportItem, { kind: 'write' }>,
  prefix: Uint8Array,
  totals: Totals,
): Promise<void> {
  let value: Uint8Array
  try {
    value = item.value()
  } catch (error) {
    totals.skip(item.name, error instanceof Error ? error.message : String(error))
    return
  }
  try {
    await client.put(Buffer.concat([prefix, item.key]), value, { signal })
    totals.wrote(value.length)
  } catch (error) {
    if (!(error instanceof QuorateError) || !SKIPPED.has(error.code)) throw error
    totals.skip(item.name, error.message)
  }
}

/** The cluster refuses larger values by itself; knowing the limit saves reading and sending them. */
async function valueBytesMax({ client, signal }: Session): Promise<number> {
  const { value_bytes_max: max } = await client.settings({ signal })
  return typeof max === 'number' ? max : Number.POSITIVE_INFINITY
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    throw new Failure(EXIT.failed, `cannot import ${path}: ${error instanceof Error ? error.message : error}`)
  }
}
