// A topic: every subscriber gets every message, in one order.
//
// Promise: messages are in the order of their revisions, the same for every subscriber. A subscription yields each
// message from its start that the topic still holds, once, and then each new one, across nodes and broken connections.
// A group has a position, which is a key. One member of the group at a time gets the messages after it and moves it
// with `ack`; when that member dies, another one continues there. So a group gets each message at least once.
//
// Retention: a topic holds at least the last `messagesMax` messages, and some more: publishers remove older ones now
// and then, some thousand at a time. With `ageMs` a message is deleted after that time, by the clock of the cluster. A
// message that was removed is not yielded, or at most a second after that. A subscription that begins before the oldest
// message begins with that one. A slower subscriber loses messages, and the next message has `missed: true`. That is
// also true if messages may have been lost: history was compacted since the position, and one was published before.
//
// Outages: a subscription fails if its first call does. From then on it waits for the cluster without limit, as a watch
// of the client does. A member of a group waits for as long as its lease lives, and is lost then.
//
// Messages and positions are revisions of one cluster. A migration or an import may have copied them from another one
// (stored-revision.ts). A group with such a position gets every message that the topic holds, also those that it has
// acknowledged there. A message that names a later revision than its own record is left out and reported, and the next
// message has `missed: true`. A publisher deletes such messages when the topic holds too many.
//
// Limits: a `publish` that fails with `written: 'unknown'` may have been done. A subscription to earlier messages reads
// the keys of all messages, so `messagesMax` bounds its memory. Each message with an age costs its subscriber one read.
// A group does not share its messages among its members: that is a queue.
//
// Keys:
//   topic/NAME/message/ID          a message, with a lease of `ageMs`; ID begins with a revision before the message's
//   topic/NAME/position/GROUP      {"revision","create_revision"}: everything up to it was acknowledged.
//   topic/NAME/member/GROUP/LEASE  a member that is active or waits, with that lease (fair-lock-queue.ts).
//   topic/NAME/trimmed             {"revision","create_revision"}: of the last message that was removed because there
//                                  were too many, written in the transaction that removes it
//   topic/NAME/aged                empty, written with each message that has an age: its version counts them
//
// Invariant: a subscription reads the messages that are there up to a revision, and then watches from the next one. So
// what was removed before is not yielded, and nothing is yielded twice or out of order. If there are fewer messages
// with an age than `aged` has counted since the position, some are lost.

import {
  type CallOptions,
  type Client,
  CompactedError,
  type KvRecord,
  QuorateError,
} from '../client/index.ts'
import { jsonText } from '../client/json-text.ts'
import { type Stopwatch, startStopwatch } from '../client/suspend-aware-clock.ts'
import { pause } from '../client/timer.ts'
import {
  boundCheck,
  bytesCheck,
  type Check,
  checkOptions,
  checkValue,
  functionCheck,
  revisionCheck,
  textCheck,
} from '../client/validators.ts'
import { acquire, type HeldLock, LockLostError } from './fair-lock-queue.ts'
import { escapePart, type KeySpace, keySpace } from './key-space.ts'
import { CALL_OPTIONS, leaseTimeCheck } from './option-checks.ts'
import { warn } from './run-user-callback.ts'
import { revisionValue, storedRevision } from './stored-revision.ts'
import { messageId, recordsByRevision, TopicRetention } from './topic-retention.ts'
import { isClosed, isTransient } from './transient-errors.ts'
import { anySignal, throughOutages, WATCH_PROGRESS_MS } from './watch-helpers.ts'

const MESSAGES_MAX = 10_000
const TTL_MS = 10_000
/** Messages that a subscription reads at a time. */
const READ_AHEAD = 16
/** Longer ago than this, a message may have been removed since it was read. */
const RECENT_MS = 1_000

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
  /** Time limit of its first call; later ones are repeated. Default: that of the client. */
  readonly timeoutMs?: number | undefined
}

/** `T`: the value as JSON, of a message that `publishJson` has published. */
export interface TopicMessage<T = unknown> {
  readonly revision: number
  readonly value: Uint8Array
  /** The value as text. */
  text(): string
  /** The value parsed as JSON. */
  json(): T
  /** true: messages before this one were removed, or may have been, before this subscription could read them. */
  readonly missed: boolean
  /** The group has processed everything up to this message. Throws if this member is not the active one any more. */
  ack(options?: CallOptions): Promise<void>
}

/** `T`: the value of its messages as JSON. */
export interface Topic<T = unknown> {
  /** Returns the revision of the message. */
  publish(value: string | Uint8Array, options?: CallOptions): Promise<number>
  /** Publishes a value as JSON. */
  publishJson(value: T, options?: CallOptions): Promise<number>
  /** Ends with `break`, or with its signal (`AbortError`); a member of a group also with a `MemberLostError`. */
  subscribe(options?: SubscribeOptions): AsyncGenerator<TopicMessage<T>, void, undefined>
  /** The position of a group: everything up to this revision was acknowledged; undefined: there is no such group. */
  position(group: string, options?: CallOptions): Promise<number | undefined>
  /** Deletes the position of a group. */
  forgetGroup(group: string, options?: CallOptions): Promise<void>
}

/** The lease of this member has ended, and another one may have replaced it. */
export class MemberLostError extends QuorateError {}

type TopicClient = Pick<Client, 'count' | 'get' | 'list' | 'txn' | 'watch' | 'session'>

export function topic<T = unknown>(
  kv: TopicClient,
  name: string | Uint8Array,
  options: TopicOptions = {},
): Topic<T> {
  checkOptions('topic', options, { messagesMax: boundCheck, ageMs: leaseTimeCheck, onError: functionCheck })
  return new MessageTopic(kv, keySpace('topic', 'topic', name), options)
}

class MessageTopic<T> implements Topic<T> {
  readonly #kv: TopicClient
  readonly #space: KeySpace
  readonly #messages: Uint8Array
  readonly #ageMs: number | undefined
  readonly #retention: TopicRetention
  #ordinal = 0

  constructor(kv: TopicClient, space: KeySpace, options: TopicOptions) {
    const onError = options.onError ?? warn('topic: older messages could not be removed')
    const { messagesMax = MESSAGES_MAX, ageMs } = options
    this.#kv = kv
    this.#space = space
    this.#messages = space.key('message', '')
    this.#ageMs = ageMs
    this.#retention = new TopicRetention(kv, space, { messagesMax, onError })
  }

  async publish(value: string | Uint8Array, options: CallOptions = {}): Promise<number> {
    checkValue('topic.publish', 'value', value, bytesCheck)
    checkOptions('topic.publish', options, CALL_OPTIONS)
    const bytes = typeof value === 'string' ? value : new Uint8Array(value)
    this.#ordinal = (this.#ordinal + 1) % 0x1_00_00_00
    const id = messageId(this.#ordinal, await this.#currentRevision(options))
    const put = { key: this.#space.key('message', id), value: bytes, ttlMs: this.#ageMs }
    const count = this.#ageMs === undefined ? [] : [this.#retention.countAged()]
    const { results, revision } = await this.#kv.txn({ success: [{ put }, ...count] }, options)
    await this.#retention.published(options.signal)
    return results[0]?.put?.modRevision ?? revision
  }

  async publishJson(value: T, options?: CallOptions): Promise<number> {
    return this.publish(jsonText('topic.publishJson', value), options)
  }

  subscribe(options: SubscribeOptions = {}): AsyncGenerator<TopicMessage<T>, void, undefined> {
    checkOptions('topic.subscribe', options, SUBSCRIBE_OPTIONS)
    return this.#subscribe({ ...options })
  }

  async *#subscribe({
    from = 'next',
    group,
    ttlMs = TTL_MS,
    signal,
    timeoutMs,
  }: SubscribeOptions): AsyncGenerator<TopicMessage<T>, void, undefined> {
    if (group === undefined) {
      const ack = () =>
        Promise.reject(new TypeError('message.ack: only a subscription of a group has a position'))
      const next = (await this.#currentRevision({ signal, timeoutMs })) + 1
      const start = firstRevision(from, next)
      for await (const message of this.#read(start, from !== 'next', signal)) yield { ...message, ack }
      return
    }
    const part = escapePart(group).toString()
    const key = (lease: string) => this.#space.key('member', part, lease)
    const members = { what: `the group ${group}`, key, conflicts: key(''), permits: 1 }
    const held = await acquire(this.#kv, members, { ttlMs, signal, timeoutMs })
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
  ): AsyncGenerator<TopicMessage<T>, void, undefined> {
    const key = this.#positionKey(group)
    const whileHeld = anySignal(held.signal, signal)
    const beginning = { signal: whileHeld }
    /**
     * Moves forward only: it replaces the position that was read, so of concurrent moves the later message counts. The
     * first move creates the key, and repeats.
     */
    let position = NO_POSITION
    const move = async (revision: number, call: CallOptions) => {
      while (position.revision < revision) {
        const compare = [{ key, target: 'modRevision', op: '=', to: position.modRevision } as const]
        const { createRevision } = position
        const success = [{ put: { key, value: revisionValue(revision, createRevision) } }]
        const moved = await held
          .txn({ compare, success, failure: [{ get: { key } }] }, call)
          .catch(memberError)
        const [result] = moved.results
        position = result?.put
          ? { revision: createRevision === 0 ? -1 : revision, isCopied: false, ...result.put }
          : await this.#parsePosition(result?.get?.kvs?.[0], call)
      }
    }
    const memberError = (error: unknown): never => {
      const isLost = error instanceof LockLostError || (held.signal.aborted && signal?.aborted !== true)
      throw isLost && !isClosed(error) ? memberLost(group, error) : error
    }
    try {
      let isCopied = false
      const start = await throughOutages(async () => {
        position = await this.#position(group, beginning)
        isCopied = position.isCopied
        if (position.revision >= 0) return position.revision + 1
        isCopied = from !== 'next'
        const next = (await this.#currentRevision(beginning)) + 1
        // A position never names a later revision than its record.
        return Math.min(next, firstRevision(from, next))
      }, whileHeld)
      // The group has a position from now on, whenever the first message comes.
      await throughOutages(() => move(start - 1, beginning), whileHeld)
      for await (const message of this.#read(start, isCopied, whileHeld)) {
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
    checkValue('topic.position', 'group', group, textCheck)
    checkOptions('topic.position', options, CALL_OPTIONS)
    const { revision } = await this.#position(group, options)
    return revision < 0 ? undefined : revision
  }

  async forgetGroup(group: string, options: CallOptions = {}): Promise<void> {
    checkValue('topic.forgetGroup', 'group', group, textCheck)
    checkOptions('topic.forgetGroup', options, CALL_OPTIONS)
    await this.#kv.txn({ success: [{ delete: { key: this.#positionKey(group) } }] }, options)
  }

  async #currentRevision(options: CallOptions): Promise<number> {
    return (await this.#kv.txn({ success: [{ get: { key: this.#messages } }] }, options)).revision
  }

  /**
   * Reads the messages that are there, then watches. Compaction of events that it needs makes it read again.
   * `isCopied`: `start` may be a revision of another cluster.
   */
  async *#read(
    start: number,
    isCopied: boolean,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Omit<TopicMessage<T>, 'ack'>, void, undefined> {
    let next = start
    let missed = false
    const get = (key: Uint8Array) => throughOutages(() => this.#kv.get(key, { signal }), signal)
    const trimmedUpTo = () => throughOutages(() => this.#retention.trimmedUpTo(signal), signal)
    let isFirst = true
    for (;;) {
      const { revision: current, aged } = await throughOutages(() => this.#retention.aged(signal), signal)
      if (current >= next) {
        const from = next
        const isOther = isCopied && isFirst
        const { messages, hasRestored } = await throughOutages(
          () => this.#messagesBetween(from, current, signal),
          signal,
        )
        const keys = messages.map(({ keyBytes }) => keyBytes)
        missed ||= hasRestored
        const hasTrimmed = () => this.#retention.hasTrimmed(from, isOther, signal)
        missed ||= await throughOutages(hasTrimmed, signal)
        const present = messages.filter(({ lease }) => lease !== undefined).length
        missed ||= await throughOutages(() => this.#retention.hasAgedOut(from, aged, present, signal), signal)
        for (let at = 0; at < keys.length; at += READ_AHEAD) {
          const readAt = startStopwatch()
          const batch = keys.slice(at, at + READ_AHEAD).map((key) => ({ key, record: get(key) }))
          await Promise.all(batch.map(({ record }) => record))
          for (const { key, record } of batch) {
            const found = await (readAt.elapsedMs() < RECENT_MS ? record : get(key))
            if (found !== undefined) yield topicMessage(found, missed)
            missed = found === undefined
          }
        }
        next = current + 1
        isFirst = false
      }
      try {
        let trimmed = 0
        let trimmedAt: Stopwatch | undefined
        const watch = this.#kv.watch({
          prefix: this.#messages,
          only: 'put',
          progressMs: WATCH_PROGRESS_MS,
          fromRevision: next,
          signal,
        })
        for await (const { revision, events } of watch) {
          for (const event of events) {
            if (event.type !== 'put') continue
            if (!this.#retention.isMessage(event.kv)) {
              missed ||= this.#retention.isRestored(event.kv)
              continue
            }
            // A watch that is behind may deliver a message that was removed since, or whose time is over.
            if (trimmedAt === undefined || trimmedAt.elapsedMs() >= RECENT_MS) {
              trimmedAt = startStopwatch()
              trimmed = await trimmedUpTo()
            }
            const isThere =
              revision > trimmed &&
              (event.kv.lease === undefined || (await get(event.kv.keyBytes)) !== undefined)
            if (isThere) yield topicMessage(event.kv, missed)
            missed = !isThere
          }
          next = revision + 1
        }
        return
      } catch (error) {
        if (!(error instanceof CompactedError || isTransient(error))) throw error
        if (!(error instanceof CompactedError)) await pause(RECENT_MS, signal)
      }
    }
  }

  /**
   * The messages between two revisions, without values, in the order of their revisions. `hasRestored`: others are left
   * out (`isRestored`).
   */
  async #messagesBetween(
    first: number,
    last: number,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly messages: readonly KvRecord[]; readonly hasRestored: boolean }> {
    const messages: KvRecord[] = []
    let hasRestored = false
    for await (const record of this.#kv.list({ prefix: this.#messages, keysOnly: true, signal })) {
      const { modRevision } = record
      const isWanted = modRevision >= first && modRevision <= last
      if (this.#retention.isMessage(record) && isWanted) messages.push(record)
      else hasRestored ||= isWanted && this.#retention.isRestored(record)
    }
    return { messages: messages.toSorted(recordsByRevision), hasRestored }
  }

  #positionKey(group: string): Uint8Array {
    return this.#space.key('position', escapePart(group).toString())
  }

  async #position(group: string, call: CallOptions): Promise<GroupPosition> {
    return this.#parsePosition(await this.#kv.get(this.#positionKey(group), call), call)
  }

  async #parsePosition(record: KvRecord | undefined, call: CallOptions): Promise<GroupPosition> {
    const stored = storedRevision('topic', record)
    if (record === undefined || stored === undefined) return { ...NO_POSITION, ...revisionsOf(record) }
    const isHidingNothing = !stored.isCopied || (await this.#isBeforeAll(stored.revision, record, call))
    return { ...stored, ...revisionsOf(record), revision: isHidingNothing ? stored.revision : 0 }
  }

  /** Whether all messages that the topic holds, or will have, are later than a position of another cluster. */
  async #isBeforeAll(revision: number, { createRevision }: KvRecord, call: CallOptions): Promise<boolean> {
    if (revision >= createRevision) return false
    for await (const { modRevision } of this.#kv.list({ prefix: this.#messages, keysOnly: true, ...call }))
      if (modRevision <= revision) return false
    return true
  }
}

const revisionsOf = (record: KvRecord | undefined) => ({
  createRevision: record?.createRevision ?? 0,
  modRevision: record?.modRevision ?? 0,
})

/** `revision`: -1 without a position. */
interface GroupPosition {
  readonly revision: number
  /** It was copied from another cluster. */
  readonly isCopied: boolean
  readonly createRevision: number
  readonly modRevision: number
}

const NO_POSITION: GroupPosition = { revision: -1, isCopied: false, createRevision: 0, modRevision: 0 }

/** The first revision of a subscription. `next`: the first one that no message has yet. */
const firstRevision = (from: number | 'oldest' | 'next', next: number): number => {
  if (from === 'oldest') return 1
  return from === 'next' ? next : from
}

const topicMessage = <T>(record: KvRecord, missed: boolean): Omit<TopicMessage<T>, 'ack'> => ({
  revision: record.modRevision,
  value: record.value,
  text: () => record.text(),
  json: () => record.json() as T,
  missed,
})

const memberLost = (group: string, cause: unknown) =>
  new MemberLostError(`this member of ${group} is not the active one any more: subscribe again`, {
    code: 'member_lost',
    written: 'no',
    cause,
  })

const fromCheck: Check = (value) =>
  value === 'oldest' || value === 'next'
    ? undefined
    : revisionCheck(value) && "a revision, 'oldest' or 'next'"

const SUBSCRIBE_OPTIONS = { ...CALL_OPTIONS, from: fromCheck, group: textCheck, ttlMs: leaseTimeCheck }
