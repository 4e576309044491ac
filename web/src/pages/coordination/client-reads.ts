// Reads the clients of locks, elections and semaphores.

import { prefixRange } from '../../../../src/operations/forms/places.ts'
import type { KeyRow } from '../../../../src/operations/forms/store.ts'
import { type ClientQueue, findHolders, orderClients } from './clients.ts'
import type { RecipeName } from './names.ts'
import { getFirst, getKey, readEach, readKeys } from './reads.ts'

export interface ClientsOfName {
  readonly name: RecipeName
  readonly queue: ClientQueue
  /** Not all keys were read, so nothing is known of the order. */
  readonly isCut: boolean
  /** Records of the clients that were read with their values, by token. */
  readonly records: ReadonlyMap<number, KeyRow>
}

/** Keys of one name that the list reads at first. */
const FEW = 64
/** Names with more keys of which the list reads all. */
const LONG_MAX = 5

/** The clients of each name, and the record of the first holder. */
export async function readClients(
  names: readonly RecipeName[],
  signal: AbortSignal,
): Promise<readonly ClientsOfName[]> {
  const found = await readEach(
    names.map(({ prefix }) => getFirst(prefixRange(prefix), FEW, true)),
    signal,
  )
  let long = 0
  const rows: Omit<ClientsOfName, 'records'>[] = []
  for (const [at, name] of names.entries()) {
    let page: Pick<ClientsOfName, 'isCut'> & { readonly keys: readonly KeyRow[] } = {
      keys: found[at]?.records ?? [],
      isCut: found[at]?.more ?? true,
    }
    if (page.isCut && long++ < LONG_MAX) {
      const { records, more } = await readKeys(name.prefix, signal)
      page = { keys: records, isCut: more }
    }
    // Its last client has gone since the names were read.
    if (page.keys.length > 0) rows.push({ name, queue: orderClients(name, page.keys), isCut: page.isCut })
  }
  const holders = rows.flatMap(({ queue }) => findHolders(queue).slice(0, 1))
  const records = new Map(
    (
      await readEach(
        holders.map(({ key }) => getKey(key)),
        signal,
      )
    ).flatMap((each) => (each?.records ?? []).map((record) => [record.createRevision, record] as const)),
  )
  return rows.map((row) => ({ ...row, records }))
}

/** All clients of one name, and the records of the first `count` of them. */
export async function readAllClients(
  name: RecipeName,
  count: number,
  signal: AbortSignal,
): Promise<ClientsOfName> {
  const { records: keys, more } = await readKeys(name.prefix, signal)
  const queue = orderClients(name, keys)
  const found = await readEach(
    queue.clients.slice(0, count).map(({ key }) => getKey(key)),
    signal,
  )
  const records = found.flatMap((each) => each?.records ?? [])
  return {
    name,
    queue,
    isCut: more,
    records: new Map(records.map((record) => [record.createRevision, record])),
  }
}
