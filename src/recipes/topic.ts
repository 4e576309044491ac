// A topic: messages that every subscriber gets, in one order, also those that were published before.
//
// Promise: the order of messages is that of their revisions, the same for every subscriber. A subscription that begins
// at a revision gets every message from it on that the topic still holds, each once, and then what is published, across
// nodes and breaks of the network. A group has a position, which is a key: one member of the group at a time gets the
// messages behind it, in order, and moves it by `ack`. When that member dies, another one goes on from the position, so
// within a group a message is delivered at least once. A former member moves nothing: its `ack` fails.
//
// Retention: a topic holds at least the last `messagesMax` messages, and some more; older ones go. With `ageMs` a
// message goes after that time as well, by the clock of the cluster. A subscription that begins before the oldest
// message begins with that one. A subscriber or group that is slower than the retention misses messages; `missed` of
// the next message says so if they went because there were too many. A publisher counts the messages from time to time,
// which takes some seconds for a million, and removes those that are too many. The `publish` that begins this waits for
// its end, but no longer than a second; if it fails, `onError` is told, and a later `publish` tries again. It ends with
// its client, and then tells nothing: where counting takes longer than a second, some publisher must live longer.
//
// Limits: a `publish` that fails with `written: 'unknown'` may have been done. To begin where history has been
// compacted, a subscription reads the keys of all messages that the topic holds, so `messagesMax` bounds its memory. A
// group does not share its messages among its members: for that, use a queue, or several groups' worth of topics.
//
// Keys:
//   topic/NAME/message/ID        a message: its value; ID begins with a revision before its own
//   topic/NAME/position/GROUP    {"revision"}: everything up to it was acknowledged
//   topic/NAME/member/GROUP/LEASE  of a member that is active, or waits to be, with that lease (line.ts)
//   topic/NAME/trimmed           the highest revision of a message that was removed because there were too many

import { randomBytes } from 'node:crypto'
import {
  type AnswerInfo,
  type CallOptions,
  type Client,
  CompactedError,
  type KvRecord,
  QuorateError,
  type Txn,
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
import { CALL, isLeaseTime } from './checks.ts'
import { type HeldLock, takeIn } from './line.ts'
import { escaped, type KeyPlace, placeOf } from './place.ts'
import { reasonOf } from './reason.ts'
import { tell } from './tell.ts'
import { isClosed, pause } from './watching.ts'

const MESSAGES_MAX = 10_000
const TTL_MS = 10_000
/** Every so many messages a publisher looks whether there are too many, or every such share of `messagesMax`. */
const TRIM_EVERY = 64
const TRIM_SHARE = 1 / 64
/** For each request of that. To count many messages takes longer than anything else that a client asks for. */
const TRIM_TIMEOUT_MS = 300_000
/** A publisher waits so long for it: one that ends after its message has mostly done it then. */
const TRIM_WAIT_MS = 1_000
/** Messages that are removed at a time. */
const TRIM_PAGE = 64
/** Messages that are looked at, to be removed, before these are removed. */
const TRIM_PART = 4_096

export interface TopicOptions {
  /** At least the last so many messages are held. Default 10,000. */
  readonly messagesMax?: number | undefined
  /** A message goes after this time. From 1,000 on. Default: no limit. */
  readonly ageMs?: number | undefined
  /** Called when older messages could not be removed, which is tried again later. Default: `process.emitWarning`. */
  readonly onError?: ((error: unknown) => void) | undefined
}

export interface SubscribeOptions {
  /**
   * The first revision whose message is wanted, 'oldest', or 'next'. Default 'next': what is published from now on. Of
   * a group only its first subscription heeds it; later ones begin behind the position.
   */
  readonly from?: number | 'oldest' | 'next' | undefined
  /** The name of a group. The subscription waits until no other member is active. */
  readonly group?: string | undefined
  /** Of a member: after so long without its process another one goes on. From 1,000 on. Default 10,000. */
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
  /** The group has done everything up to this message. Fails if this member is not the active one any more. */
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

/** The member was replaced by another one. */
export class MemberLostError extends QuorateError {}

type TopicClient = Pick<Client, 'count' | 'get' | 'list' | 'txn' | 'watch' | 'session'>

export function topic(kv: TopicClient, name: string | Uint8Array, options: TopicOptions = {}): Topic {
  checkOptions('topic', options, TOPIC)
  return new KeptTopic(kv, placeOf('topic', 'topic', name), options)
}

class KeptTopic implements Topic {
  readonly #kv: TopicClient
  readonly #place: KeyPlace
  readonly #messages: Uint8Array
  readonly #messagesMax: number
  readonly #ageMs: number | undefined
  readonly #onError: (error: unknown) => void
  readonly #trimEvery: number
  #ordinal = 0
  #published: number
  #isTrimming = false

  constructor(
    kv: TopicClient,
    place: KeyPlace,
    { messagesMax = MESSAGES_MAX, ageMs, onError = warn }: TopicOptions,
  ) {
    this.#kv = kv
    this.#place = place
    this.#messages = place.key('message', '')
    this.#messagesMax = messagesMax
    this.#ageMs = ageMs
    this.#onError = onError
    this.#trimEvery = Math.max(Math.min(TRIM_EVERY, messagesMax), Math.floor(messagesMax * TRIM_SHARE))
    // It begins anywhere, so that it is trimmed as often by many processes that publish one message each.
    this.#published = Math.floor(Math.random() * this.#trimEvery)
  }

  async publish(value: string | Uint8Array, options: CallOptions = {}): Promise<number> {
    checkValue('topic.publish', 'value', value, isBytes)
    checkOptions('topic.publish', options, CALL)
    const bytes = typeof value === 'string' ? value : new Uint8Array(value)
    this.#ordinal = (this.#ordinal + 1) % 0x1_00_00_00
    const id = idOf(await this.#revisionNow(options), this.#ordinal)
    const put = { key: this.#place.key('message', id), value: bytes, ttlMs: this.#ageMs }
    const { results, revision } = await this.#kv.txn({ success: [{ put }] }, options)
    this.#published += 1
    if (this.#published % this.#trimEvery === 0 && !this.#isTrimming) await this.#trimSoon(options.signal)
    return results[0]?.put?.modRevision ?? revision
  }

  async *subscribe(options: SubscribeOptions = {}): AsyncGenerator<TopicMessage, void, undefined> {
    checkOptions('topic.subscribe', options, SUBSCRIBE)
    const { from = 'next', group, ttlMs = TTL_MS, signal } = options
    if (group === undefined) {
      const notOfGroup = async () => {
        throw new TypeError('message.ack: only a subscription of a group has a position')
      }
      for await (const message of this.#from(await this.#firstRevision(from, signal), signal))
        yield { ...message, ack: notOfGroup }
      return
    }
    const members = {
      what: `the group ${group}`,
      key: (lease: string) => this.#place.key('member', keyPart(group), lease),
      before: this.#place.key('member', keyPart(group), ''),
      served: 1,
    }
    const held = await takeIn(this.#kv, members, { ttlMs, signal })
    try {
      yield* this.#asMember(held, group, from, signal)
    } finally {
      await held.release()
    }
  }

  async *#asMember(
    held: HeldLock,
    group: string,
    from: number | 'oldest' | 'next',
    signal: AbortSignal | undefined,
  ): AsyncGenerator<TopicMessage, void, undefined> {
    const key = this.#place.key('position', keyPart(group))
    let kept = positionIn(await this.#kv.get(key, { signal }))
    const first = kept === NO_POSITION ? await this.#firstRevision(from, signal) : kept.position + 1
    const whileHeld = async (txn: Txn, call: CallOptions) => {
      const done = await this.#kv.txn({ ...txn, compare: [held.guard(), ...(txn.compare ?? [])] }, call)
      return done.succeeded ? done.results : undefined
    }
    /** Only forward: it replaces the position that was read, so of two moves at a time the later message stays. */
    const move = async (revision: number, call: CallOptions) => {
      while (kept.position < revision) {
        const same = { key, target: 'modRevision', op: '=', to: kept.modRevision } as const
        const put = { key, value: JSON.stringify({ revision }) }
        const moved = await whileHeld({ compare: [same], success: [{ put }] }, call)
        if (moved !== undefined) {
          kept = { position: revision, modRevision: moved[0]?.put?.modRevision ?? 0 }
          return
        }
        const found = await whileHeld({ success: [{ get: { key } }] }, call)
        if (found === undefined) throw lostMember(group)
        kept = positionIn(found[0]?.get?.kvs?.[0])
      }
    }
    // So that the group has its place from now on, whatever comes first.
    await move(first - 1, { signal })
    const isOver = signal === undefined ? held.signal : AbortSignal.any([signal, held.signal])
    try {
      for await (const message of this.#from(first, isOver)) {
        held.throwIfLost()
        yield {
          ...message,
          ack: async (call = {}) => {
            checkOptions('message.ack', call, CALL)
            await move(message.revision, call)
          },
        }
      }
    } catch (error) {
      // With its client the lease of the member ends as well.
      const isLost = held.signal.aborted && signal?.aborted !== true && !isClosed(error)
      throw isLost ? lostMember(group, error) : error
    }
  }

  async position(group: string, options: CallOptions = {}): Promise<number | undefined> {
    checkValue('topic.position', 'group', group, isText)
    checkOptions('topic.position', options, CALL)
    const kept = positionIn(await this.#kv.get(this.#place.key('position', keyPart(group)), options))
    return kept === NO_POSITION ? undefined : kept.position
  }

  async forgetGroup(group: string, options: CallOptions = {}): Promise<void> {
    checkValue('topic.forgetGroup', 'group', group, isText)
    checkOptions('topic.forgetGroup', options, CALL)
    await this.#kv.txn(
      { success: [{ delete: { key: this.#place.key('position', keyPart(group)) } }] },
      options,
    )
  }

  // -------------------------------------------------------------------------------------------------------------------

  async #revisionNow(options: CallOptions): Promise<number> {
    const read = { get: { key: this.#messages } }
    return (await this.#kv.txn({ success: [read] }, options)).revision
  }

  async #firstRevision(from: number | 'oldest' | 'next', signal: AbortSignal | undefined): Promise<number> {
    if (from === 'oldest') return 1
    return from === 'next' ? (await this.#revisionNow({ signal })) + 1 : from
  }

  /** From a watch, as far as history goes back; before that, from the keys that are there. */
  async *#from(
    first: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Unacknowledged, void, undefined> {
    let next = first
    let missed = false
    for (;;) {
      try {
        const watch = this.#kv.watch({ prefix: this.#messages, only: 'put', fromRevision: next, signal })
        for await (const { revision, events } of watch) {
          for (const event of events) {
            if (event.type !== 'put') continue
            yield messageOf(event.kv, missed)
            missed = false
          }
          next = revision + 1
        }
        return
      } catch (error) {
        if (!(error instanceof CompactedError)) throw error
      }
      const kept = await this.#keptFrom(next, signal)
      missed ||= kept.trimmed >= next
      for (const { key, revision } of kept.messages) {
        const record = await this.#kv.get(key, { signal })
        next = revision + 1
        // It was removed since.
        if (record === undefined) missed = true
        else {
          yield messageOf(record, missed)
          missed = false
        }
      }
      next = Math.max(next, kept.revision + 1)
    }
  }

  /**
   * The messages from `first` on, up to the revision of now, that are still there: in their order. They are not read at
   * that revision, as history may be compacted meanwhile.
   */
  async #keptFrom(first: number, signal: AbortSignal | undefined) {
    const revision = await this.#revisionNow({ signal })
    const messages: { key: Uint8Array; revision: number }[] = []
    const all = this.#kv.list({ prefix: this.#messages, keysOnly: true, signal })
    for await (const { keyBytes, modRevision } of all)
      if (modRevision >= first && modRevision <= revision)
        messages.push({ key: keyBytes, revision: modRevision })
    messages.sort((a, b) => a.revision - b.revision)
    const trimmed = Number((await this.#kv.get(this.#place.key('trimmed'), { signal }))?.text() ?? 0)
    return { revision, messages, trimmed }
  }

  /** Ends before it is trimmed if that takes long. Never fails: the message is published all the same. */
  async #trimSoon(signal: AbortSignal | undefined): Promise<void> {
    const end = new AbortController()
    const trim = async () => {
      this.#isTrimming = true
      try {
        await this.#trim()
      } catch (error) {
        if (!isClosed(error)) tell(() => this.#onError(error))
      } finally {
        this.#isTrimming = false
        end.abort()
      }
    }
    void trim()
    await pause(TRIM_WAIT_MS, signal === undefined ? end.signal : AbortSignal.any([end.signal, signal]))
  }

  /** Removes what is older than the last `messagesMax`. The order of keys is nearly that of revisions. */
  async #trim(): Promise<void> {
    const options = { timeoutMs: TRIM_TIMEOUT_MS }
    // A transaction would count no more than `range_keys_max`.
    let revision: number | undefined
    const onAnswer = (answer: AnswerInfo) => {
      revision = answer.revision
    }
    const count = await this.#kv.count({ prefix: this.#messages, ...options, onAnswer })
    if (count <= this.#messagesMax) return
    const key = this.#place.key('trimmed')
    const mark = await this.#kv.get(key, options)
    let modRevision = mark?.modRevision ?? 0
    let trimmed = Number(mark?.text() ?? 0)
    let start = this.#messages
    /** Of the parts before. */
    let late: KvRecord[] = []
    const end = this.#place.key('message0')
    // In parts: those of a topic that was not trimmed for long may be millions.
    for (let tooMany = count - this.#messagesMax; tooMany > 0; tooMany -= TRIM_PART) {
      const part: KvRecord[] = []
      const limit = Math.min(tooMany, TRIM_PART) + 1
      // At that revision: of messages that others remove meanwhile, or whose time is over, so many are not too many.
      const range = { start, end, keysOnly: true, limit, revision }
      for await (const record of this.#kv.list({ ...range, ...options })) part.push(record)
      const kept = part.pop()
      if (kept === undefined) return
      start = kept.keyBytes
      // Those from `kept` on are later than the revision in its key. One before it may be as well, if its publisher was
      // slow: then it may be one of the last messages. It goes with a later part, before a message that is later than
      // it, or stays for now.
      const bound = revisionIn(this.#place.rest(kept.keyBytes))
      const seen = [...late, ...part]
      const old = seen.filter((each) => each.modRevision <= bound)
      late = seen.filter((each) => each.modRevision > bound)
      for (let at = 0; at < old.length; at += TRIM_PAGE) {
        const some = old.slice(at, at + TRIM_PAGE)
        trimmed = Math.max(trimmed, ...some.map((each) => each.modRevision))
        // The mark and the messages together: who finds none there finds the mark, and the mark only if some are gone.
        const { succeeded, results } = await this.#kv.txn(
          {
            compare: [{ key, target: 'modRevision', op: '=', to: modRevision }],
            success: [
              { put: { key, value: String(trimmed) } },
              ...some.map(({ keyBytes }) => ({ delete: { key: keyBytes } })),
            ],
          },
          options,
        )
        // Otherwise another process removes messages now.
        if (!succeeded) return
        modRevision = results[0]?.put?.modRevision ?? 0
      }
    }
  }
}

type Unacknowledged = Omit<TopicMessage, 'ack'>

const messageOf = (record: KvRecord, missed: boolean): Unacknowledged => ({
  revision: record.modRevision,
  value: record.value,
  text: () => record.text(),
  json: () => record.json(),
  missed,
})

const idOf = (revision: number, ordinal: number): string =>
  `${String(revision).padStart(16, '0')}-${ordinal.toString(16).padStart(6, '0')}${randomBytes(5).toString('hex')}`

/** The revision in the key of a message, below its topic. */
const revisionIn = (rest: string): number => Number(rest.slice('message/'.length).split('-')[0])

/** Of a group: everything up to `position` was acknowledged. */
interface Position {
  readonly position: number
  /** Of its key; 0: there is none. */
  readonly modRevision: number
}

const NO_POSITION: Position = { position: -1, modRevision: 0 }

const positionIn = (record: KvRecord | undefined): Position =>
  record === undefined
    ? NO_POSITION
    : {
        position: Number((record.json() as { revision: number }).revision),
        modRevision: record.modRevision,
      }

const keyPart = (group: string): string => escaped(group).toString()

const lostMember = (group: string, cause?: unknown) =>
  new MemberLostError(`this member of ${group} is not the active one any more: subscribe again`, {
    code: 'member_lost',
    written: 'no',
    cause,
  })

const isFrom: Check = (value) =>
  value === 'oldest' || value === 'next' ? undefined : isRevision(value) && "a revision, 'oldest' or 'next'"

const warn = (error: unknown): void =>
  process.emitWarning(`topic: older messages could not be removed: ${reasonOf(error)}`, 'QuorateWarning')

const TOPIC = { messagesMax: isBound, ageMs: isLeaseTime, onError: isFunction }
const SUBSCRIBE = { from: isFrom, group: isText, ttlMs: isLeaseTime, signal: isSignal }
