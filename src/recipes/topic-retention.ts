// Which messages a topic (topic.ts) holds: publishers remove those that are too many, oldest first, a batch at a time.
//
// Invariant: `trimmed` is written in the transaction that removes messages, and every message up to it is removed. The
// version of `aged` counts the messages that were published with an age. Messages with an age lose nothing else.

import crypto from 'node:crypto'
import {
  type AnswerInfo,
  type CallOptions,
  type Client,
  CompactedError,
  type KvRecord,
  type TxnOperation,
} from '../client/index.ts'
import { pause } from '../client/timer.ts'
import { reportForeignKey } from './foreign-keys.ts'
import type { KeySpace } from './key-space.ts'
import { runUserCallback } from './run-user-callback.ts'
import { revisionValue, type StoredRevision, storedRevision } from './stored-revision.ts'
import { isClosed } from './transient-errors.ts'
import { anySignal } from './watch-helpers.ts'

/** A publisher trims the topic after this many messages, or after this share of `messagesMax`. */
const TRIM_EVERY = 64
const TRIM_SHARE = 1 / 64
/** How long a publisher waits for the trim: long enough for most, if the process ends after its message. */
const TRIM_WAIT_MS = 1_000
/** Counting a million messages takes seconds. */
const TRIM_TIMEOUT_MS = 60_000
/** Maximum number of messages that one trim removes, and that one transaction of it removes. */
const TRIM_MAX = 4_096
const TRIM_BATCH = 64

interface RetentionOptions {
  readonly messagesMax: number
  readonly onError: (error: unknown) => void
}

export class TopicRetention {
  readonly #kv: Pick<Client, 'count' | 'get' | 'list' | 'txn'>
  readonly #space: KeySpace
  readonly #options: RetentionOptions
  readonly #trimEvery: number
  #published: number
  #isTrimming = false

  constructor(
    kv: Pick<Client, 'count' | 'get' | 'list' | 'txn'>,
    space: KeySpace,
    options: RetentionOptions,
  ) {
    this.#kv = kv
    this.#space = space
    this.#options = options
    const { messagesMax } = options
    this.#trimEvery = Math.max(Math.min(TRIM_EVERY, messagesMax), Math.floor(messagesMax * TRIM_SHARE))
    // At random, so that many processes that publish one message each trim as often.
    this.#published = Math.floor(Math.random() * this.#trimEvery)
  }

  /** Reports a key that is no message of this topic. */
  isMessage(record: KvRecord): boolean {
    const suffix = this.#space.suffix(record.keyBytes)
    if (MESSAGE.test(suffix) && !this.isRestored(record)) return true
    reportForeignKey('topic', record.key)
    return false
  }

  /** Whether an import has restored a message of another cluster: its key names no revision before its own. */
  isRestored({ keyBytes, modRevision }: KvRecord): boolean {
    const suffix = this.#space.suffix(keyBytes)
    return MESSAGE.test(suffix) && parseRevision(suffix) >= modRevision
  }

  /** Messages up to this revision were removed because there were too many; 0: none. */
  async trimmedUpTo(signal: AbortSignal | undefined): Promise<number> {
    const mark = await this.#readMark(signal)
    return mark === undefined || mark.isCopied ? 0 : mark.revision
  }

  /**
   * Whether messages from `start` on were removed because there were too many. `isCopied`: it may be a revision of the
   * cluster from which the topic was copied, as the mark of this cluster may be.
   */
  async hasTrimmed(start: number, isCopied: boolean, signal: AbortSignal | undefined): Promise<boolean> {
    const mark = await this.#readMark(signal)
    return mark !== undefined && mark.revision >= start && (isCopied || !mark.isCopied)
  }

  async #readMark(signal: AbortSignal | undefined): Promise<StoredRevision | undefined> {
    return storedRevision('topic', await this.#kv.get(this.#space.key('trimmed'), { signal }))
  }

  /** Part of the transaction that publishes a message with an age. */
  countAged(): TxnOperation {
    return { put: { key: this.#space.key('aged'), value: '' } }
  }

  /** The record that counts the messages with an age, and the revision at which it was read. */
  async aged(
    signal: AbortSignal | undefined,
  ): Promise<{ readonly aged: KvRecord | undefined; readonly revision: number }> {
    const get = { key: this.#space.key('aged') }
    const { results, revision } = await this.#kv.txn({ success: [{ get }] }, { signal })
    return { aged: results[0]?.get?.kvs?.[0], revision }
  }

  /**
   * Whether fewer messages with an age are left than were published. `from`: the first revision that counts; `aged` was
   * read at the last one; `present`: how many are left of those between the two.
   */
  async hasAgedOut(
    from: number,
    aged: KvRecord | undefined,
    present: number,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    if (aged === undefined || aged.modRevision < from) return false
    const before = aged.createRevision >= from ? 0 : await this.#agedBefore(from, signal)
    return before === undefined || aged.version - before > present
  }

  /** How many messages with an age were published before a revision; undefined: history does not have it any more. */
  async #agedBefore(from: number, signal: AbortSignal | undefined): Promise<number | undefined> {
    const key = this.#space.key('aged')
    try {
      return (await this.#kv.get(key, { revision: from - 1, signal }))?.version
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
      if (error.compactRevision === undefined) return undefined
      // The oldest state that can be read is good enough if no message came in between.
      const oldest = await this.#kv.get(key, { revision: error.compactRevision, signal })
      return oldest !== undefined && oldest.modRevision < from ? oldest.version : undefined
    }
  }

  /** Called for each message of this publisher. Now and then it trims the topic, and waits a moment for that. */
  async published(signal: AbortSignal | undefined): Promise<void> {
    this.#published += 1
    if (this.#published % this.#trimEvery !== 0 || this.#isTrimming) return
    const over = new AbortController()
    await Promise.race([this.#trim(), pause(TRIM_WAIT_MS, anySignal(over.signal, signal))])
    over.abort()
  }

  /** Never fails: the message is published in any case. */
  async #trim(): Promise<void> {
    this.#isTrimming = true
    try {
      await this.#removeOldest()
    } catch (error) {
      if (!isClosed(error)) runUserCallback(() => this.#options.onError(error))
    } finally {
      this.#isTrimming = false
    }
  }

  /** Writes the mark with each removal, and compares the one before. So of concurrent trims one succeeds. */
  async #removeOldest(): Promise<void> {
    const call = { timeoutMs: TRIM_TIMEOUT_MS }
    const key = this.#space.key('trimmed')
    let { createRevision, modRevision } = (await this.#kv.get(key, call)) ?? NO_MARK
    let revision: number | undefined
    const onAnswer = (answer: AnswerInfo) => {
      revision = answer.revision
    }
    // Keys that do not begin like an id take no place of messages.
    const [start, end] = [this.#space.key('message', '0'), this.#space.key('message', ':')]
    const held = (await this.#kv.count({ start, end, ...call, onAnswer })) - this.#options.messagesMax
    if (held <= 0 || revision === undefined) return
    const list = async (range: { readonly start: Uint8Array; readonly end: Uint8Array }, limit: number) => {
      const records: KvRecord[] = []
      const listed = this.#kv.list({ ...range, keysOnly: true, limit, revision, ...call })
      for await (const record of listed) records.push(record)
      return records
    }
    // No message of this cluster names a later revision: these are restored ones, which nobody reads. They are counted
    // at the revision of the first count: a message that expires in between is in the excess already.
    const later = this.#space.key('message', padRevision(revision))
    const restored = await this.#kv.count({ start: later, end, revision, ...call })
    if (restored > 0) await this.#deleteRestored(await list({ start: later, end }, TRIM_MAX), call)
    const excess = held - restored
    if (excess <= 0) return
    const listed = await list({ start, end: later }, Math.min(excess, TRIM_MAX) + 1)
    const oldest = listed.filter((record) => this.isMessage(record))
    await this.#deleteRestored(listed, call)
    // A key begins with a revision before that of its message. So all messages after these are newer than the last key.
    const bound = parseRevision(this.#space.suffix(oldest.pop()?.keyBytes ?? this.#space.key('message', '')))
    const ordered = oldest.filter((each) => each.modRevision <= bound)
    // So many keys that all begin long before their messages: an import has restored them.
    const old = (ordered.length === 0 && oldest.length >= TRIM_MAX ? oldest : ordered).toSorted(
      recordsByRevision,
    )
    for (let at = 0; at < old.length; ) {
      // The first transaction creates the mark, and removes nothing.
      const batch = createRevision === 0 ? [] : old.slice(at, at + TRIM_BATCH)
      const put = { key, value: revisionValue(batch.at(-1)?.modRevision ?? 0, createRevision) }
      const success = [{ put }, ...batch.map(({ keyBytes }) => ({ delete: { key: keyBytes } }))]
      const compare = [{ key, target: 'modRevision', op: '=', to: modRevision } as const]
      const { succeeded, results } = await this.#kv.txn({ compare, success }, call)
      if (!succeeded) return
      ;({ createRevision, modRevision } = results[0]?.put ?? NO_MARK)
      at += batch.length
    }
  }

  /** Deletes those of the records that are messages of another cluster. */
  async #deleteRestored(records: readonly KvRecord[], call: CallOptions): Promise<void> {
    const restored = records.filter((record) => this.isRestored(record))
    for (let at = 0; at < restored.length; at += TRIM_BATCH) {
      const batch = restored.slice(at, at + TRIM_BATCH)
      await this.#kv.txn({ success: batch.map(({ keyBytes }) => ({ delete: { key: keyBytes } })) }, call)
    }
  }
}

const NO_MARK = { createRevision: 0, modRevision: 0 }

export const recordsByRevision = (a: KvRecord, b: KvRecord): number => a.modRevision - b.modRevision

const padRevision = (revision: number): string => String(revision).padStart(16, '0')

/** The last part of the key of a message. `revision`: one before that of the message. */
export const messageId = (ordinal: number, revision: number): string =>
  `${padRevision(revision)}-${ordinal.toString(16).padStart(6, '0')}${crypto.randomBytes(5).toString('hex')}`

/** The revision in the key of a message. */
const parseRevision = (suffix: string): number => Number(suffix.slice('message/'.length).split('-')[0])

const MESSAGE = /^message\/[0-9]{16}-[0-9a-f]+$/
