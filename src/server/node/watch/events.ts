// The events of one revision, built once for all watchers: the keys that it has changed, from its row of events, and
// the records, which are read from their rows of versions when the first watcher needs them. Watchers with the same
// options share one message of a revision. It is encoded once for each form.

import { latin1 } from '../../../bytes/index.ts'
import {
  type ChangeOrigin,
  type KeyEvent,
  readDeletion,
  readVersion,
  runSteps,
  type Steps,
} from '../../../kv/index.ts'
import type { KeyRow, Revision } from '../../../operations/forms/index.ts'

/** Limit on the keys and values of the previous records in one message. One record is always included. */
export const PREV_BYTES_MAX = 4 * 1024 * 1024

/**
 * Limit on the memory for messages that contain a part of the events of one revision. It counts the keys and the
 * events while other watchers may share them. Thousands of watchers may each request another part of a revision that
 * deletes thousands of keys. The last message is always kept.
 */
const PARTS_BYTES_MAX = 256 * 1024
/** Size of an event in a message, without its key. */
const EVENT_BYTES = 64

/** Reads the newest row. */
export type GetRow = (rowKey: Uint8Array) => Uint8Array | undefined

/** One key that a revision has changed. */
export class ChangeEvent {
  readonly key: Uint8Array
  readonly revision: Revision
  readonly type: 'put' | 'delete'
  /** Position among the events of its revision. */
  readonly at: number
  readonly #before: KeyEvent['before']
  readonly #get: GetRow
  readonly #keeps: boolean
  #name: string | undefined
  #record: KeyRow | undefined
  #deletion: ChangeOrigin | undefined
  #prev: KeyRow | null | undefined

  /** `keeps`: whether records stay in memory after they are read. */
  constructor({ key, revision, tombstone, before }: KeyEvent, at: number, get: GetRow, keeps: boolean) {
    this.at = at
    this.key = key
    this.revision = revision
    this.type = tombstone === undefined ? 'put' : 'delete'
    this.#before = before
    this.#get = get
    this.#keeps = keeps
  }

  /** The key with a character for each byte. */
  get name(): string {
    this.#name ??= latin1(this.key)
    return this.#name
  }

  /** The record of a put. */
  get record(): KeyRow {
    const record = this.#record ?? readVersion(this.key, this.revision, this.#get)
    if (this.#keeps) this.#record = record
    return record
  }

  /** The user of a deletion, and its time. */
  get deletion(): ChangeOrigin {
    const deletion = this.#deletion ?? readDeletion(this.key, this.revision, this.#get)
    if (this.#keeps) this.#deletion = deletion
    return deletion
  }

  /** The previous record; null if the key did not exist. */
  get prev(): KeyRow | null {
    if (this.#prev !== undefined) return this.#prev
    const prev = this.#before === undefined ? null : readVersion(this.key, this.#before.revision, this.#get)
    if (this.#keeps) this.#prev = prev
    return prev
  }

  /** The size of the previous record, with or without its value. */
  prevBytes(withValue: boolean): number {
    if (this.#before === undefined) return 0
    return this.key.length + (withValue ? this.#before.valueBytes : 0)
  }
}

/** The encoder of messages for one protocol. A message is a head, its events one after the other, and a tail. */
export interface MessageForm {
  head(message: EventsMessage): Uint8Array
  /** `prev`: as in `EventsMessage.prevs`. `at`: the position of the event in the message. */
  event(event: ChangeEvent, prev: KeyRow | null | undefined, values: boolean, at: number): Uint8Array
  readonly tail: Uint8Array
}

/** A message in one form, encoded event by event. */
interface FormEncoding {
  readonly form: MessageForm
  readonly steps: Steps<Uint8Array>
  /** undefined: some events are not encoded yet. */
  bytes: Uint8Array | undefined
}

/** The message for watchers with the same options and the same events of one revision. */
export class EventsMessage {
  readonly revision: Revision
  readonly events: readonly ChangeEvent[]
  /** Size of the keys of its events, and of the events themselves. Values and previous records have other limits. */
  readonly bytes: number
  /** Whether records include their values. */
  readonly values: boolean
  readonly #prev: boolean
  readonly #encodings: FormEncoding[] = []

  constructor(revision: Revision, events: readonly ChangeEvent[], { prev, values }: MessageOptions) {
    this.revision = revision
    this.events = events
    this.bytes = events.reduce((sum, { key }) => sum + key.length + EVENT_BYTES, 0)
    this.values = values
    this.#prev = prev
  }

  in(form: MessageForm): Uint8Array {
    const encoding = this.#findEncoding(form)
    encoding.bytes ??= runSteps(encoding.steps)
    return encoding.bytes
  }

  /** Encodes some of the events, so that `in` has less to do. Returns whether more of them are left. */
  encode(form: MessageForm, eventsMax: number): boolean {
    const encoding = this.#findEncoding(form)
    for (let left = eventsMax; left > 0 && encoding.bytes === undefined; left--) {
      const { done, value } = encoding.steps.next()
      if (done) encoding.bytes = value
    }
    return encoding.bytes === undefined
  }

  #findEncoding(form: MessageForm): FormEncoding {
    const known = this.#encodings.find((encoding) => encoding.form === form)
    if (known !== undefined) return known
    const encoding = { form, steps: this.#encodeSteps(form), bytes: undefined }
    this.#encodings.push(encoding)
    return encoding
  }

  *#encodeSteps(form: MessageForm): Steps<Uint8Array> {
    const parts = [form.head(this)]
    let at = 0
    for (const [event, prev] of this.#withPrevs()) {
      parts.push(form.event(event, prev, this.values, at++))
      yield
    }
    return joinParts([...parts, form.tail])
  }

  /**
   * The previous records, one for each event; undefined if the watch did not request it, or there is no room for it.
   * One revision may delete thousands of long keys with large values.
   */
  prevs(): readonly (KeyRow | null | undefined)[] {
    return [...this.#withPrevs()].map(([, prev]) => prev)
  }

  *#withPrevs(): Iterable<readonly [ChangeEvent, KeyRow | null | undefined]> {
    let bytes = 0
    for (const event of this.events) {
      const isFirst = bytes === 0
      if (this.#prev) bytes += event.prevBytes(this.values)
      const isSent = this.#prev && (isFirst || bytes <= PREV_BYTES_MAX)
      yield [event, isSent ? event.prev : undefined]
    }
  }
}

function joinParts(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

interface MessageOptions {
  readonly prev: boolean
  readonly values: boolean
}

/** The changes of one revision: at least one key. */
export class RevisionEvents {
  readonly revision: Revision
  readonly events: ChangeEvent[] = []
  readonly #messages = new Map<string, EventsMessage>()
  /** Messages with a part of the events, oldest first. */
  readonly #parts = new Map<string, EventsMessage>()
  #partsBytes = 0

  constructor(revision: Revision) {
    this.revision = revision
  }

  /** `keeps`: whether records stay in memory after they are read. */
  add(event: KeyEvent, get: GetRow, keeps = true): void {
    this.events.push(new ChangeEvent(event, this.events.length, get, keeps))
  }

  /** The message with these events, in their order. Watchers that need the same events share it. */
  message(events: readonly ChangeEvent[], options: MessageOptions): EventsMessage {
    const { prev, values } = options
    let name = `${Number(prev)}${Number(values)}`
    const isPart = events.length < this.events.length
    if (isPart) for (const { at } of events) name += `,${at}`
    const messages = isPart ? this.#parts : this.#messages
    let message = messages.get(name)
    if (message === undefined) {
      message = new EventsMessage(this.revision, events, options)
      messages.set(name, message)
      if (isPart) this.#partAdded(message)
    }
    return message
  }

  #partAdded(added: EventsMessage): void {
    this.#partsBytes += added.bytes
    for (const [name, message] of this.#parts) {
      if (this.#partsBytes <= PARTS_BYTES_MAX || message === added) return
      this.#parts.delete(name)
      this.#partsBytes -= message.bytes
    }
  }
}

/** Events of a row by revision. Revisions that have changed no key are left out. */
export function eventsByRevision(events: Iterable<KeyEvent>, get: GetRow, keeps: boolean): RevisionEvents[] {
  const revisions: RevisionEvents[] = []
  for (const event of events) {
    let newest = revisions.at(-1)
    if (newest?.revision !== event.revision) {
      newest = new RevisionEvents(event.revision)
      revisions.push(newest)
    }
    newest.add(event, get, keeps)
  }
  return revisions
}
