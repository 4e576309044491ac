// The names for which a recipe has keys: those of queues, services, locks.

import type { Client } from '../client/index.ts'
import { unescapePart } from '../recipes/key-space.ts'

/** In the order of their keys. One request for each name, however many keys it has. */
export async function* namesOf(
  client: Client,
  recipe: 'queue' | 'service' | 'lock',
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const from = recipe.length + 1
  let start = Buffer.from(`${recipe}/`)
  for (;;) {
    // `0` is the character after the slash.
    const first = client.list({ start, end: `${recipe}0`, limit: 1, keysOnly: true, signal })
    const { value: record } = await first.next()
    if (record === undefined) return
    const key = Buffer.from(record.keyBytes)
    const slash = key.indexOf('/', from)
    if (slash > from) yield Buffer.from(unescapePart(key.toString('latin1', from, slash)), 'latin1')
    start =
      slash < 0
        ? Buffer.concat([key, Uint8Array.of(0)])
        : Buffer.concat([key.subarray(0, slash), Buffer.from('0')])
  }
}
