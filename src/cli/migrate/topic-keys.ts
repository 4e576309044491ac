// Keys of topics (src/recipes/topic.ts) that need care in a copy.
//
// A message has a revision of its own: a position cannot tell messages of one revision apart. The version of `aged`
// counts the messages that were published with an age. If some of them are gone, the copy of `aged` has a version above
// the number of messages that are left: so a subscriber learns that messages may be lost.

import type { KvRecord } from '../../client/index.ts'

const MESSAGE = /^(.*topic\/[^/]+\/)message\/[0-9]{16}-[0-9a-f]+$/s
const AGED = /^(.*topic\/[^/]+\/)aged$/s

const textOf = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')

/** The prefix of the topic; undefined: the key is no message. */
export const topicOfMessage = (key: Uint8Array): string | undefined => MESSAGE.exec(textOf(key))?.[1]

/** Whether the version of the key counts messages. */
export const isCountOfAged = (key: Uint8Array): boolean => AGED.test(textOf(key))

type CountedRecord = Pick<KvRecord, 'keyBytes' | 'lease' | 'version'>

/** Counts the messages with an age of each topic that are copied. */
export class AgedMessages {
  readonly #counts = new Map<string, number>()

  add({ keyBytes, lease }: CountedRecord): void {
    const topic = lease === undefined ? undefined : topicOfMessage(keyBytes)
    if (topic !== undefined) this.#counts.set(topic, (this.#counts.get(topic) ?? 0) + 1)
  }

  /** How often the record is put, so that its version says whether messages are gone. */
  puts({ keyBytes, version }: CountedRecord): number {
    const topic = AGED.exec(textOf(keyBytes))?.[1]
    return topic === undefined ? 1 : Math.min(version, (this.#counts.get(topic) ?? 0) + 1)
  }
}
