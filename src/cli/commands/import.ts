// kv import FILE.ndjson | DIR: many concurrent writes, each applied at most once. The writes of one key are sequential,
// in the order of the source, so the last one wins.
//
// A fail-over does not end an import: the client retries each write for up to a minute, under one idempotency key. The
// import skips and names what the cluster will never accept (too large, …). Every other failure ends it. Then it says
// how many writes may have been made, and how to continue.

import { statSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { Command } from '@commander-js/extra-typings'
import { type Client, PreconditionFailedError, QuorateError } from '../../client/index.ts'
import { Failure, failureReason } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from '../../operations/forms/index.ts'
import { sayWhileSilent, withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { userPath } from '../terminal/io.ts'
import { printJson, say } from '../terminal/output.ts'
import { byteCount, keyCount, ProgressDisplay } from '../terminal/progress.ts'
import { readItemsFromFiles } from '../transfer/import-files.ts'
import type { ImportItem, WriteItem } from '../transfer/import-lines.ts'
import { linesOfFile } from '../transfer/import-lines.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('import'), [
    'kv import conf/',
    'kv import conf/ --prefix prod/conf/',
    'kv import backup.ndjson',
    'kv export | kv import - --endpoints http://127.0.0.1:8301',
  ])
    .description('store the files of a directory, or the records of an NDJSON file')
    .argument('<source>', `a directory, a file of ${PROGRAM} export, or '-' for standard input`)
    .option('--prefix <prefix>', 'put this in front of every key')
    .option('--strict', 'fail when anything was skipped, or when NDJSON has no end line')
    .option('--keep-existing', 'leave keys as they are that exist already')
    .option('--leased', 'import records that had a lease too, as plain keys')
    .addHelpText('after', IMPORT_NOTES)
    .action((source, options) => importInto(flags(), source, options))

const IMPORT_NOTES = `
Keys are the paths relative to the directory. Symlinks, sockets, pipes, empty directories and values over the
limit of the cluster are skipped, named and counted; the exit code is 0, with --strict 1. Existing keys are
overwritten, also by a second run, whatever clients have written since; --keep-existing leaves them.

Each write is tried for a minute unless --timeout says otherwise, so a fail-over only delays it. The last
record of a key wins, with --keep-existing the first. NDJSON without an end line may be cut off: a warning,
with --strict an error. Records that had a lease are skipped too: their leases do not exist here, so locks,
instances and keys with a time to live would stay until somebody deletes them. --leased imports them as
plain keys.`

/** Limit on the writes in flight. Writes that begin together are one entry of the log, so many cost little. */
export const WRITES_MAX = 256
/** Limit on their values, in bytes. Over a slow network, more of them would always time out. */
export const BYTES_AT_ONCE = 4 * 1024 * 1024
/** How long a write is tried without --timeout. A fail-over, a pause and a restart of the cluster take less. */
const TIMEOUT_MS = 60_000
/** Limit of a name in a message. Every path fits. */
const NAME_CHARACTERS_MAX = 4096
/**
 * No cluster accepts more, so such items are skipped without a request. This saves reading and sending large values.
 * And a node would call a key malformed that does not fit into the head of a request. The settings of the cluster may
 * be lower. They are not requested: the node that answers may not know of a change that raised them.
 */
/** Errors of one item, after which the import continues. */
const SKIPPED = new Set(['value_too_large', 'request_too_large', 'key_too_long', 'key_empty'])

interface ImportFlags {
  readonly prefix?: string | undefined
  readonly strict?: true | undefined
  readonly leased?: true | undefined
  readonly keepExisting?: true | undefined
}

async function importInto(global: GlobalFlags, source: string, flags: ImportFlags): Promise<void> {
  const needs = { timeoutMs: TIMEOUT_MS, unreachableAfterMs: TIMEOUT_MS, callsMax: WRITES_MAX }
  // Before the first request, so that a wrong source fails at once, not after a minute without a node.
  const isTree = source !== '-' && isDirectory(source)
  const leased = flags.leased === true
  if (leased && isTree)
    throw new Failure(EXIT.usage, '--leased is for NDJSON: files do not tell which keys had a lease')
  await withContext(
    global,
    { kind: 'write', check: `${PROGRAM} ls`, fromFiles: true },
    async (context) => {
      const { signal } = context
      const reading = new AbortController()
      const readable = AbortSignal.any([signal, reading.signal])
      const totals = new Totals()
      let hasAnswered = false
      const isWaiting = () => !hasAnswered || (totals.bytesInFlight > 0 && totals.written === 0)
      const ended = sayWhileSilent(global.timeout ?? TIMEOUT_MS, isWaiting)
      const items = isTree
        ? readItemsFromFiles(userPath(source), VALUE_BYTES_MAX)
        : linesOfFile(source, readable, leased)
      try {
        // A client without an answer knows no revision, and may send its first writes again only for 10 s.
        await context.client.leader({ signal })
        hasAnswered = true
        const prefix = Buffer.from(flags.prefix ?? '')
        const target = { client: context.client, signal, prefix, keeps: flags.keepExisting === true }
        await writeAll(target, items, totals, () => reading.abort()).finally(ended)
      } catch (error) {
        totals.progress.clear()
        const next = flags.keepExisting === true ? 'writes the keys that are missing' : 'writes every key'
        say(`stopped after ${totals.sentence()}${signal.aborted ? '' : totals.remainder(next)}`)
        throw signal.aborted ? interruptedFailure(error, next) : error
      }
      totals.progress.clear()
      const json = { ...totals.json(), ...(flags.keepExisting === true ? { kept: totals.kept } : {}) }
      if (!(await printJson(context.format, json))) say(`imported ${totals.sentence()}`)
      if (flags.strict === true) totals.refuse()
    },
    needs,
  )
}

/**
 * An import is not remembered. It can be repeated: a key that is written twice has the same value. `next`: what the
 * same command does then.
 */
function interruptedFailure(error: unknown, next: string): Failure {
  const also = isUnknown(error) ? '; the writes in flight may have been made' : ''
  return new Failure(
    EXIT.interrupted,
    `interrupted${also}. To continue, run the same command again: it ${next}`,
  )
}

class Totals {
  readonly progress = new ProgressDisplay()
  written = 0
  skipped = 0
  /** Keys that existed. */
  kept = 0
  bytes = 0
  bytesInFlight = 0
  /** Writes of unknown outcome. */
  unknown = 0
  #hasOpenEnd = false

  wrote(bytes: number): void {
    this.written += 1
    this.bytes += bytes
    this.progress.show(() => `imported ${keyCount(this.written)}, ${byteCount(this.bytes)}`)
  }

  skip(name: string, reason: string): void {
    this.skipped += 1
    this.progress.clear()
    const shown = name.length > NAME_CHARACTERS_MAX ? `${name.slice(0, NAME_CHARACTERS_MAX)}…` : name
    say(`skipped ${shown}: ${reason}`)
  }

  openEnd(reason: string): void {
    this.#hasOpenEnd = true
    this.progress.clear()
    say(reason)
  }

  /** Throws what --strict does not allow. */
  refuse(): void {
    if (this.skipped > 0) throw new Failure(EXIT.failed, `${this.skipped} skipped, and --strict was given`)
    if (this.#hasOpenEnd) throw new Failure(EXIT.failed, 'the end line is missing, and --strict was given')
  }

  sentence(): string {
    const skipped = this.skipped === 0 ? '' : `, ${this.skipped} skipped`
    const kept = this.kept === 0 ? '' : `, ${this.kept} left as they were`
    return `${keyCount(this.written)}, ${byteCount(this.bytes)} in ${this.progress.seconds.toFixed(1)} s${skipped}${kept}`
  }

  /** Writes of a failed import whose outcome is unknown, and what the same command does next. */
  remainder(next: string): string {
    const writes = this.unknown === 1 ? '1 more write' : `${this.unknown} more writes`
    const unknown = this.unknown === 0 ? '' : `; ${writes} may have been made`
    return `${unknown}; nothing else was written: the same command again ${next}`
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

/** Where the keys go. */
interface Target {
  readonly client: Client
  readonly signal: AbortSignal
  readonly prefix: Uint8Array
  /** Whether keys that exist stay as they are. */
  readonly keeps: boolean
}

async function writeAll(
  target: Target,
  items: Iterable<ImportItem> | AsyncIterable<ImportItem>,
  totals: Totals,
  stopReading: () => void,
): Promise<void> {
  const inFlight = new Set<Promise<void>>()
  const lastOfKey = new Map<string, Promise<void>>()
  const failures: unknown[] = []
  /** Called when a write has ended. A race of all writes in flight would be quadratic. */
  let wake = (): void => {}
  let skippedBefore = 0
  const fail = (error: unknown): void => {
    failures.push(error)
    if (isUnknown(error)) totals.unknown += 1
    // The program that writes the input may not write anything for a long time.
    stopReading()
  }
  const begin = (item: WriteItem): void => {
    const key = Buffer.from(item.key).toString('latin1')
    const turn = lastOfKey.get(key) ?? Promise.resolve()
    const write = turn
      .then(() => (failures.length === 0 ? writeOne(target, item, totals) : undefined))
      .catch(fail)
      .finally(() => {
        inFlight.delete(write)
        if (lastOfKey.get(key) === write) lastOfKey.delete(key)
        wake()
      })
    inFlight.add(write)
    lastOfKey.set(key, write)
  }
  try {
    for await (const item of items) {
      if (item.kind === 'write') begin(item)
      else if (item.kind === 'skip') totals.skip(item.name, item.reason)
      else totals.openEnd(item.reason)
      while (totals.bytesInFlight >= BYTES_AT_ONCE || inFlight.size >= WRITES_MAX)
        await new Promise<void>((resolve) => (wake = resolve))
      if (totals.skipped > skippedBefore) {
        skippedBefore = totals.skipped
        // Skipping waits for nothing. Ctrl-C and the answers of the cluster have their turn here.
        await setImmediate()
        target.signal.throwIfAborted()
      }
      if (failures.length > 0) break
    }
  } catch (error) {
    fail(error)
  }
  // Every write ends before the result is known: an unknown outcome of a write counts more than the first failure.
  await Promise.all(inFlight)
  if (failures.length === 0) return
  const [first] = failures
  const error = failures.find(isUnknown) ?? first
  if (first instanceof Failure && error !== first) {
    totals.progress.clear()
    say(`error: ${first.message}`)
  }
  throw error
}

const isUnknown = (error: unknown): boolean => error instanceof QuorateError && error.written === 'unknown'

async function writeOne(
  { client, signal, prefix, keeps }: Target,
  item: WriteItem,
  totals: Totals,
): Promise<void> {
  let value: Uint8Array
  try {
    value = item.value()
  } catch (error) {
    totals.skip(item.name, failureReason(error))
    return
  }
  const key = Buffer.concat([prefix, item.key])
  const tooLarge = whyTooLarge(key, value)
  if (tooLarge !== undefined) {
    totals.skip(item.name, tooLarge)
    return
  }
  totals.bytesInFlight += value.length
  try {
    await client.put(key, value, keeps ? { signal, ifAbsent: true } : { signal })
    totals.wrote(value.length)
  } catch (error) {
    if (keeps && error instanceof PreconditionFailedError) {
      totals.kept += 1
      return
    }
    if (!(error instanceof QuorateError) || !SKIPPED.has(error.code)) throw error
    totals.skip(item.name, error.message)
  } finally {
    totals.bytesInFlight -= value.length
  }
}

function whyTooLarge(key: Uint8Array, value: Uint8Array): string | undefined {
  if (key.length > KEY_BYTES_MAX) return `its key has ${key.length} bytes; a key has at most ${KEY_BYTES_MAX}`
  if (value.length > VALUE_BYTES_MAX) return `${value.length} bytes; a value has at most ${VALUE_BYTES_MAX}`
  return undefined
}

function isDirectory(path: string): boolean {
  try {
    return statSync(userPath(path)).isDirectory()
  } catch (error) {
    throw new Failure(EXIT.failed, `cannot import ${path}: ${failureReason(error)}`)
  }
}
