// A topic: every subscriber gets every message, in one order.
//
// Promise: messages are in the order of their revisions, the same for every subscriber. A subscription yields each
// message from its start that the topic still holds, once, and then each new one, across nodes and broken connections.
// A group has a position, which is a key. One member of the group at a time gets the messages after it and moves it
// with `ack`; when that member dies, another one continues there. So a group gets each message at least once.
//
// Retention: a topic holds at least the last `messagesMax` messages, and some more: publishers remove older ones now
// and then, some thousand at a time. With `ageMs` a message is deleted after that time, by the clock of the cluster,
// and is not yielded after that. A subscription that begins before the oldest message begins with that one. A slower
// subscriber loses messages, and the next message has `missed: true`.
//
// Limits: a `publish` that fails with `written: 'unknown'` may have been done. A subscription to earlier messages reads
// the keys of all messages, so `messagesMax` bounds its memory. Each message with an age costs its subscriber one read.
// A group does not share its messages among its members: that is a queue.
//
// Keys:
//   topic/NAME/message/ID          a message, with a lease of `ageMs`; ID begins with a revision before the message's
//   topic/NAME/position/GROUP      {"revision"}: everything up to it was acknowledged.
//   topic/NAME/member/GROUP/LEASE  a member that is active or waits, with that lease (fair-lock-queue.ts).
//   topic/NAME/trimmed             the highest revision of a message that was removed because there were too many,
//                                  written in the transaction that removes it
//
// Invariant: a subscription reads the messages that are there up to a revision, and then watches from the next one. So
// what was removed before is not yielded, and nothing is yielded twice or out of order.

import { randomBytes } from 'node:crypto'
import {
  type AnswerInfo,
  type CallOptions,
  type Client,
  CompactedError,
  type KvRecord,
  QuorateError,
} from '../client/index.ts'
import {
  type Check,
  checkOptions,
  checkValue,
  isBound,
  isBytes,
  isFunction,
  isRevision,
  isSignal,
  isText,
} from '../client/validators.ts'
import { acquire, type HeldLock, LockLostError } from './fair-lock-queue.ts'
import { reportForeignKey } from './foreign-keys.ts'
import { escapePart, type KeySpace, keySpace } from './key-space.ts'
import { CALL_OPTIONS, isLeaseTime } from './option-checks.ts'
import { runUserCallback, warn } from './run-user-callback.ts'
import { isClosed } from './transient-errors.ts'
import { anySignal, pause } from './watch-helpers.ts'

const MESSAGES_MAX = 10_000
const TTL_MS = 10_000
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
/** Messages that a subscription reads at a time. */
const READ_AHEAD = 16

export interface TopicOptions {
  /** The topic holds at least this many messages. Default 10,000. */
  readonly messagesMax?: number | undefined
  /** A message is deleted after this time. From 1,000 on. Default: no limit. */
  readonly ageMs?: number | undefined
  /** Called when older messages could not be removed; a later `publish` tries again. Default: `process.emitWarning`. */
  readonly onError?: ((error: unknown) => void) | undefined
}

export interface SubscribeOptions {
  /**
   * The first revision whose message is wanted, 'oldest', or 'next'. Default 'next': only new messages. A group uses it
   * once, in its first subscription; later ones begin after the position.
   */
  readonly from?: number | 'oldest' | 'next' | undefined
  /** The name of a group. The subscription waits until no other member is active. */
  readonly group?: string | undefined
  /** Life of the member's lease: another one continues after this time. From 1,000 on. Default 10,000. */
  readonly ttlMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface TopicMessage {
  readonly revision: number
  readonly value: Uint8Array
  /** The value as text. */
  text(): string
  /** The value parsed as JSON. */
  json(): unknown
  /** true: messages before this one were removed before this subscription could read them. */
  readonly missed: boolean
  /** The group has processed everything up to this message. Throws if this member is not the active one any more. */
  ack(options?: CallOptions): Promise<void>
}

export interface Topic {
  /** Returns the revision of the message. */
  publish(value: string | Uint8Array, options?: CallOptions): Promise<number>
  /** Ends with `break`, or with its signal (`AbortError`). */
  subscribe(options?: SubscribeOptions): AsyncGenerator<TopicMessage, void, undefined>
  /** The position of a group: everything up to this revision was acknowledged; undefined: there is no such group. */
  position(group: string, options?: CallOptions): Promise<number | undefined>
  /** Deletes the position of a group. */
  forgetGroup(group: string, options?: CallOptions): Promise<void>
}

/** Another member has replaced this one. */
export class MemberLostError extends QuorateError {}

export type TopicClient = Pick<Client, 'count' | 'get' | 'list' | 'txn' | 'watch' | 'session'>

export function topic(kv: TopicClient, name: string | Uint8Array, options: TopicOptions = {}): Topic {
  checkOptions('topic', options, { messagesMax: isBound, ageMs: isLeaseTime, onError: isFunction })
  return new MessageTopic(kv, keySpace('topic', 'topic', name), options)
}

class MessageTopic implements Topic {
  readonly #kv: TopicClient
  readonly #space: KeySpace
  readonly #messages: Uint8Array
  readonly #messagesMax: number
  readonly #ageMs: number | undefined
  readonly #onError: (error: unknown) => void
  readonly #trimEvery: number
  #ordinal = 0
  #published: number
  #isTrimming = false

  constructor(kv: TopicClient, space: KeySpace, { messagesMax, ageMs, onError }: TopicOptions) {
    this.#kv = kv
    this.#space = space
    this.#messages = space.key('message', '')
    this.#messagesMax = messagesMax ?? MESSAGES_MAX
    this.#ageMs = ageMs
    this.#onError = onError ?? warn('topic: older messages could not be removed')
    const share = Math.floor(this.#messagesMax * TRIM_SHARE)
    this.#trimEvery = Math.max(Math.min(TRIM_EVERY, this.#messagesMax), share)
    // At random, so that many processes that publish one message each trim as often.
    this.#published = Math.floor(Math.random() * this.#trimEvery)
  }

  async publish(value: string | Uint8Array, options: CallOptions = {}): Promise<number> {
    checkValue('topic.publish', 'value', value, isBytes)
    checkOptions('topic.publish', options, CALL_OPTIONS)
    const bytes = typeof value === 'string' ? value : new Uint8Array(value)
    this.#ordinal = (this.#ordinal + 1) % 0x1_00_00_00
    const id = messageId(this.#ordinal, await this.#currentRevision(options))
    const put = { key: this.#space.key('message', id), value: bytes, ttlMs: this.#ageMs }
    const { results, revision } = await this.#kv.txn({ success: [{ put }] }, options)
    this.#published += 1
    if (this.#published % this.#trimEvery === 0 && !this.#isTrimming)
      await Promise.race([this.#trim(), pause(TRIM_WAIT_MS, options.signal)])
    return results[0]?.put?.modRevision ?? revision
  }

  subscribe(options: SubscribeOptions = {}): AsyncGenerator<TopicMessage, void, undefined> {
    checkOptions('topic.subscribe', options, SUBSCRIBE_OPTIONS)
    return this.#subscribe({ ...options })
  }

  async *#subscribe({
    from = 'next',
    group,
    ttlMs = TTL_MS,
    signal,
  }: SubscribeOptions): AsyncGenerator<TopicMessage, void, undefined> {
    if (group === undefined) {
      const ack = () =>
        Promise.reject(new TypeError('message.ack: only a subscription of a group has a position'))
      for await (const message of this.#read(await this.#start(from, signal), signal))
        yield { ...message, ack }
      return
    }
    const part = escapePart(group).toString()
    const key = (lease: string) => this.#space.key('member', part, lease)
    const members = { what: `the group ${group}`, key, conflicts: key(''), permits: 1 }
    const held = await acquire(this.#kv, members, { ttlMs, signal })
    try {
      yield* this.#readAsMember(held, group, from, signal)
    } finally {
      await held.release()
    }
  }

  async *#readAsMember(
    held: HeldLock,
    group: string,
    from: number | 'oldest' | 'next',
    signal: AbortSignal | undefined,
  ): AsyncGenerator<TopicMessage, void, undefined> {
    const key = this.#positionKey(group)
    let position = this.#positionIn(await this.#kv.get(key, { signal }))
    const start = position.revision < 0 ? await this.#start(from, signal) : position.revision + 1
    /** Moves forward only: it replaces the position that was read, so of concurrent moves the later message counts. */
    const move = async (revision: number, call: CallOptions) => {
      while (position.revision < revision) {
        const compare = [{ key, target: 'modRevision', op: '=', to: position.modRevision } as const]
        const success = [{ put: { key, value: JSON.stringify({ revision }) } }]
        const moved = await held
          .txn({ compare, success, failure: [{ get: { key } }] }, call)
          .catch(memberError)
        const [result] = moved.results
        if (moved.succeeded) position = { revision, modRevision: result?.put?.modRevision ?? 0 }
        else position = this.#positionIn(result?.get?.kvs?.[0])
      }
    }
    const memberError = (error: unknown): never => {
      const isLost = error instanceof LockLostError || (held.signal.aborted && signal?.aborted !== true)
      throw isLost && !isClosed(error) ? memberLost(group, error) : error
    }
    // The group has a position from now on, whenever the first message comes.
    await move(start - 1, { signal })
    try {
      for await (const message of this.#read(start, anySignal(held.signal, signal))) {
        held.throwIfLost()
        const ack = async (call: CallOptions = {}) => {
          checkOptions('message.ack', call, CALL_OPTIONS)
          await move(message.revision, call)
        }
        yield { ...message, ack }
      }
    } catch (error) {
      memberError(error)
    }
  }

  async position(group: string, options: CallOptions = {}): Promise<number | undefined> {
    checkValue('topic.position', 'group', group, isText)
    checkOptions('topic.position', options, CALL_OPTIONS)
    const { revision } = this.#positionIn(await this.#kv.get(this.#positionKey(group), options))
    return revision < 0 ? undefined : revision
  }

  async forgetGroup(group: string, options: CallOptions = {}): Promise<void> {
    checkValue('topic.forgetGroup', 'group', group, isText)
    checkOptions('topic.forgetGroup', options, CALL_OPTIONS)
    await this.#kv.txn({ success: [{ delete: { key: this.#positionKey(group) } }] }, options)
  }

  async #currentRevision(options: CallOptions): Promise<number> {
    return (await this.#kv.txn({ success: [{ get: { key: this.#messages } }] }, options)).revision
  }

  async #start(from: number | 'oldest' | 'next', signal: AbortSignal | undefined): Promise<number> {
    if (from === 'oldest') return 1
    return from === 'next' ? (await this.#currentRevision({ signal })) + 1 : from
  }

  /** Reads the messages that are there, then watches. Compaction of events that it needs makes it read again. */
  async *#read(
    start: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<UnacknowledgedMessage, void, undefined> {
    let next = start
    let missed = false
    for (;;) {
      const current = await this.#currentRevision({ signal })
      if (current >= next) {
        const keys = await this.#keysBetween(next, current, signal)
        missed ||= (await this.#trimmed(signal)) >= next
        for (let at = 0; at < keys.length; at += READ_AHEAD) {
          const reads = keys.slice(at, at + READ_AHEAD).map((key) => this.#kv.get(key, { signal }))
          for (const record of await Promise.all(reads)) {
            if (record !== undefined) yield messageOf(record, missed)
            missed = record === undefined
          }
        }
        next = current + 1
      }
      try {
        const watch = this.#kv.watch({ prefix: this.#messages, only: 'put', fromRevision: next, signal })
        for await (const { revision, events } of watch) {
          for (const event of events) {
            if (event.type !== 'put' || !this.#isMessage(event.kv)) continue
            // A watch that was interrupted may deliver a message whose time is over.
            const isThere =
              event.kv.lease === undefined || (await this.#kv.get(event.kv.keyBytes, { signal }))
            if (isThere) yield messageOf(event.kv, missed)
            missed = !isThere
          }
          next = revision + 1
        }
        return
      } catch (error) {
        if (!(error instanceof CompactedError)) throw error
      }
    }
  }

  /** The keys of the messages between two revisions, in the order of their revisions. */
  async #keysBetween(first: number, last: number, signal: AbortSignal | undefined): Promise<Uint8Array[]> {
    const messages: KvRecord[] = []
    for await (const record of this.#kv.list({ prefix: this.#messages, keysOnly: true, signal })) {
      const { modRevision } = record
      if (this.#isMessage(record) && modRevision >= first && modRevision <= last) messages.push(record)
    }
    return messages.toSorted(byRevision).map(({ keyBytes }) => keyBytes)
  }

  /** A message without a lease in a topic with an age would stay without end: an import wrote it. */
  #isMessage({ key, keyBytes, lease }: KvRecord): boolean {
    const isOwn = MESSAGE.test(this.#space.suffix(keyBytes))
    if (isOwn && (this.#ageMs === undefined || lease !== undefined)) return true
    reportForeignKey('topic', key)
    return false
  }

  async #trimmed(signal: AbortSignal | undefined): Promise<number> {
    return Number((await this.#kv.get(this.#space.key('trimmed'), { signal }))?.text() ?? 0)
  }

  /** Never fails: the message is published in any case. */
  async #trim(): Promise<void> {
    this.#isTrimming = true
    try {
      await this.#removeOldest()
    } catch (error) {
      if (!isClosed(error)) runUserCallback(() => this.#onError(error))
    } finally {
      this.#isTrimming = false
    }
  }

  /** Writes the mark with each removal, and compares the one before. So of concurrent trims one succeeds. */
  async #removeOldest(): Promise<void> {
    const call = { timeoutMs: TRIM_TIMEOUT_MS }
    const key = this.#space.key('trimmed')
    const mark = await this.#kv.get(key, call)
    let modRevision = mark?.modRevision ?? 0
    let revision: number | undefined
    const onAnswer = (answer: AnswerInfo) => {
      revision = answer.revision
    }
    // Only keys that begin like an id: foreign keys take no place of messages.
    const range = { start: this.#space.key('message', '0'), end: this.#space.key('message', ':'), ...call }
    const excess = (await this.#kv.count({ ...range, onAnswer })) - this.#messagesMax
    if (excess <= 0) return
    const oldest: KvRecord[] = []
    // At the revision of the count: a message that expires in between is in the excess already.
    const list = this.#kv.list({ ...range, keysOnly: true, limit: Math.min(excess, TRIM_MAX) + 1, revision })
    for await (const record of list) if (this.#isMessage(record)) oldest.push(record)
    // A key begins with a revision before that of its message. So all messages after these are newer than the last key.
    const bound = revisionIn(this.#space.suffix(oldest.pop()?.keyBytes ?? this.#messages))
    const old = oldest.filter((each) => each.modRevision <= bound).toSorted(byRevision)
    for (let at = 0; at < old.length; at += TRIM_BATCH) {
      const batch = old.slice(at, at + TRIM_BATCH)
      const put = { key, value: String(batch.at(-1)?.modRevision) }
      const success = [{ put }, ...batch.map(({ keyBytes }) => ({ delete: { key: keyBytes } }))]
      const compare = [{ key, target: 'modRevision', op: '=', to: modRevision } as const]
      const { succeeded, results } = await this.#kv.txn({ compare, success }, call)
      if (!succeeded) return
      modRevision = results[0]?.put?.modRevision ?? 0
    }
  }

  #positionKey(group: string): Uint8Array {
    return this.#space.key('position', escapePart(group).toString())
  }

  #positionIn(record: KvRecord | undefined): { readonly revision: number; readonly modRevision: number } {
    const revision = Number(/^\{"revision":([0-9]+)\}$/.exec(record?.text() ?? '')?.[1] ?? -1)
    if (record !== undefined && revision < 0) reportForeignKey('topic', record.key)
    return { revision, modRevision: record?.modRevision ?? 0 }
  }
}

type UnacknowledgedMessage = Omit<TopicMessage, 'ack'>

const messageOf = (record: KvRecord, missed: boolean): UnacknowledgedMessage => ({
  revision: record.modRevision,
  value: record.value,
  text: () => record.text(),
  json: () => record.json(),
  missed,
})

const byRevision = (a: KvRecord, b: KvRecord): number => a.modRevision - b.modRevision

const messageId = (ordinal: number, revision: number): string =>
  `${String(revision).padStart(16, '0')}-${ordinal.toString(16).padStart(6, '0')}${randomBytes(5).toString('hex')}`

/** The revision in the key of a message. */
const revisionIn = (suffix: string): number => Number(suffix.slice('message/'.length).split('-')[0])

const MESSAGE = /^message\/[0-9]{16}-[0-9a-f]+$/

const memberLost = (group: string, cause: unknown) =>
  new MemberLostError(`this member of ${group} is not the active one any more: subscribe again`, {
    code: 'member_lost',
    written: 'no',
    cause,
  })

const isFrom: Check = (value) =>
  value === 'oldest' || value === 'next' ? undefined : isRevision(value) && "a revision, 'oldest' or 'next'"

const SUBSCRIBE_OPTIONS = { from: isFrom, group: isText, ttlMs: isLeaseTime, signal: isSignal }
