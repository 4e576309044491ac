// Watch responses. The events of a revision are encoded once for all watches that need the same ones; what differs
// stands before them. In protocol buffers the order of fields does not matter.

import { EVENT_DELETE, EVENT_PUT, type Event, WatchResponse } from '../../../etcd/messages/watch.ts'
import type { KeyRow } from '../../../operations/forms/index.ts'
import type { ChangeEvent, MessageForm } from '../../node/watch/index.ts'
import { encodePrev, encodeRow } from '../fields.ts'

const NOTHING = new Uint8Array()

/** The field `events` of a response. */
export const EVENTS_FORM: MessageForm = {
  head: () => NOTHING,
  event: (event, prev) => WatchResponse.encode({ events: [encodeEvent(event, prev)] }),
  tail: NOTHING,
}

function encodeEvent(event: ChangeEvent, prev: KeyRow | null | undefined): Event {
  const prevKv = encodePrev(prev)
  if (event.type === 'put') return { type: EVENT_PUT, kv: encodeRow(event.record), prevKv }
  const { key, revision: modRevision } = event
  const kv = { key, createRevision: 0, modRevision, version: 0, value: NOTHING, lease: 0n }
  return { type: EVENT_DELETE, kv, prevKv }
}

/** Largest fragment: etcd's largest request. A single event may be larger. */
const FRAGMENT_BYTES_MAX = 1.5 * 1024 * 1024

/** Parts of the events of a response, each a whole number of events. */
export function fragments(events: Uint8Array): readonly Uint8Array[] {
  const parts: Uint8Array[] = []
  let from = 0
  for (let at = 0; at < events.length; ) {
    const end = eventEnd(events, at)
    if (end - from > FRAGMENT_BYTES_MAX && at > from) {
      parts.push(events.subarray(from, at))
      from = at
    }
    at = end
  }
  return [...parts, events.subarray(from)]
}

/** The end of the event that begins here: a tag of one byte, its length, and so many bytes. */
function eventEnd(events: Uint8Array, from: number): number {
  let length = 0
  let at = from + 1
  for (let shift = 0; ; shift += 7) {
    const byte = events[at++] ?? 0
    length += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) return at + length
  }
}

export function joined(head: Uint8Array, events: Uint8Array): Uint8Array {
  const message = new Uint8Array(head.length + events.length)
  message.set(head)
  message.set(events, head.length)
  return message
}
