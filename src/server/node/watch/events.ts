// The events of one revision, built once for all watchers: the keys that it has changed, from its row of events, and
// the records, which are read from their rows of versions when the first watcher needs them. Watchers with the same
// options share one message of a revision. It is encoded once for each form.

import { latin1 } from '../../../bytes/index.ts'
import { type KeyEvent, type KeyRow, type Revision, readVersion } from '../../../kv/index.ts'

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
  /** The key with a character for each byte. */
  readonly name: string
  readonly revision: Revision
  readonly type: 'put' | 'delete'
  /** Position among the events of its revision. */
  readonly at: number
  readonly #before: KeyEvent['before']
  readonly #get: GetRow
  #record: KeyRow | undefined
  #prev: KeyRow | null | undefined

  constructor({ key, revision, tombstone, before }: KeyEvent, at: number, get: GetRow) {
    this.at = at
    this.key = key
    this.name = latin1(key)
    this.revision = revision
    this.type = tombstone === undefined ? 'put' : 'delete'
    this.#before = before
    this.#get = get
  }

  /** The record of a put. */
  get record(): KeyRow {
    this.#record ??= readVersion(this.key, this.revision, this.#get)
    return this.#record
  }

  /** The previous record; null if the key did not exist. */
  get prev(): KeyRow | null {
    if (this.#prev === undefined)
      this.#prev = this.#before === undefined ? null : readVersion(this.key, this.#before.revision, this.#get)
    return this.#prev
  }

  /** The size of the previous record, with or without its value. */
  prevBytes(withValue: boolean): number {
    if (this.#before === undefined) return 0
    return this.key.length + (withValue ? this.#before.valueBytes : 0)
  }
}

/** The encoder of messages for one protocol. */
export interface MessageForm {
  encode(message: EventsMessage): Uint8Array
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
  readonly #encoded: { readonly form: MessageForm; readonly bytes: Uint8Array }[] = []

  constructor(revision: Revision, events: readonly ChangeEvent[], { prev, values }: MessageOptions) {
    this.revision = revision
    this.events = events
    this.bytes = events.reduce((sum, { key }) => sum + key.length + EVENT_BYTES, 0)
    this.values = values
    this.#prev = prev
  }

  in(form: MessageForm): Uint8Array {
    const known = this.#encoded.find((encoded) => encoded.form === form)
    if (known !== undefined) return known.bytes
    const bytes = form.encode(this)
    this.#encoded.push({ form, bytes })
    return bytes
  }

  /**
   * The previous records, one for each event; undefined if the watch did not request it, or there is no room for it.
   * One revision may delete thousands of long keys with large values.
   */
  prevs(): (KeyRow | null | undefined)[] {
    let bytes = 0
    return this.events.map((event) => {
      if (!this.#prev) return undefined
      const isFirst = bytes === 0
      bytes += event.prevBytes(this.values)
      return isFirst || bytes <= PREV_BYTES_MAX ? event.prev : undefined
    })
  }
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
export function byRevision(events: readonly KeyEvent[], get: GetRow): RevisionEvents[] {
  const revisions: RevisionEvents[] = []
  for (const event of events) {
    let newest = revisions.at(-1)
    if (newest?.revision !== event.revision) {
      newest = new RevisionEvents(event.revision)
      revisions.push(newest)
    }
    newest.events.push(new ChangeEvent(event, newest.events.length, get))
  }
  return revisions
}
