// Reads of a queue, and the changes of its failed items, which are those of the recipe.

import { decodeUtf8, encodeUtf8 } from '../../../../src/bytes/index.ts'
import { prefixRange } from '../../../../src/operations/forms/places.ts'
import type { KeyRow, LeaseId } from '../../../../src/operations/forms/store.ts'
import type { KvTxnOperation } from '../../../../src/operations/forms/transactions.ts'
import { range } from '../../../../src/operations/range.ts'
import { txn } from '../../../../src/operations/txn.ts'
import { type MakeChange, nameChange } from '../../cluster/change.ts'
import { run } from '../../cluster/connection.ts'
import { pageFreshness } from '../../cluster/freshness.ts'
import {
  type ItemPlace,
  type ItemState,
  NEW_ITEM,
  NOT_ACKNOWLEDGED,
  parseItemId,
  parseItemState,
} from './documents.ts'
import { joinBytes, type RecipeName } from './names.ts'
import { countKeys, getFirst, getKey, readEach } from './reads.ts'

type Part = 'item' | 'hold' | 'dead' | 'value'

const partKey = (prefix: Uint8Array, part: Part, id = ''): Uint8Array =>
  joinBytes(prefix, encodeUtf8(`${part}/${id}`))

/** Numbers of keys. undefined: more than a transaction counts. */
export interface QueueCounts {
  readonly items: number | undefined
  readonly held: number | undefined
  readonly failed: number | undefined
}

export interface QueueRow extends QueueCounts {
  readonly name: RecipeName
  /** The first item in line, held or not. */
  readonly first: QueuedItem | undefined
}

export interface QueuedItem extends ItemPlace, ItemState {
  readonly id: string
  readonly record: KeyRow
  /** The key that keeps others from it until its lease ends; undefined: it can be taken. */
  readonly hold: Hold | undefined
  /** The beginning of its value; undefined: it has none. */
  readonly preview: Preview | undefined
}

export interface Hold {
  readonly state: 'held' | 'delayed'
  readonly lease: LeaseId
  /** The user who holds or has delayed it, if rights were checked. */
  readonly by: string | undefined
}

export interface Preview {
  readonly start: Uint8Array
  readonly length: number
}

const PREVIEW_BYTES = 300
const GETS_PER_QUEUE = 4
/** Names on a page: a transaction reads all of them. */
export const QUEUES = Math.floor(128 / GETS_PER_QUEUE)

export async function readQueues(
  names: readonly RecipeName[],
  signal: AbortSignal,
): Promise<readonly QueueRow[]> {
  const found = await readEach(
    names.flatMap(({ prefix }) => [...countParts(prefix), getFirst(prefixRange(partKey(prefix, 'item')), 1)]),
    signal,
  )
  return names.map((name, at) => {
    const [items, held, failed, first] = found.slice(at * GETS_PER_QUEUE)
    const record = first?.records[0]
    return {
      name,
      items: items?.count,
      held: held?.count,
      failed: failed?.count,
      first: record && parseItem(name.prefix, 'item', record),
    }
  })
}

const countParts = (prefix: Uint8Array) => [
  countKeys(partKey(prefix, 'item')),
  countKeys(partKey(prefix, 'hold')),
  countKeys(partKey(prefix, 'dead')),
]

function parseItem(prefix: Uint8Array, part: Part, record: KeyRow): QueuedItem | undefined {
  const id = decodeUtf8(record.key.subarray(partKey(prefix, part).length))
  const place = parseItemId(id)
  const state = parseItemState(record.value)
  if (place === undefined || state === undefined) return undefined
  return { ...place, ...state, id, record, hold: undefined, preview: undefined }
}

/**
 * The item with the key of its hold. A consumer that takes an item writes the error of its silence at once. That is no
 * error yet while it holds the item, and says that nobody has only delayed it.
 */
export function withHold(item: QueuedItem, hold: Pick<KeyRow, 'lease' | 'by'> | undefined): QueuedItem {
  if (hold?.lease === undefined) return item
  const isHeld = item.error === NOT_ACKNOWLEDGED
  return {
    ...item,
    error: isHeld ? undefined : item.error,
    hold: { state: isHeld ? 'held' : 'delayed', lease: hold.lease, by: hold.by },
  }
}

export interface QueueView extends QueueCounts {
  readonly waiting: readonly QueuedItem[]
  readonly dead: readonly QueuedItem[]
  readonly foreign: readonly Uint8Array[]
}

/** Beginnings of values by id. An item's value is written once, so each is read once. */
export type Previews = Map<string, Preview>

const COUNT_TIMEOUT_MS = 30_000

/** The number of all keys of a queue that holds more than a transaction counts. It may take seconds. */
export async function countAll(prefix: Uint8Array, signal: AbortSignal): Promise<QueueCounts> {
  const count = async (part: Part): Promise<number | undefined> => {
    const keys = prefixRange(partKey(prefix, part))
    const request = { kind: 'range', range: keys, countOnly: true, freshness: pageFreshness() } as const
    return (await run(range, request, { signal, timeoutMs: COUNT_TIMEOUT_MS })).result.count
  }
  return { items: await count('item'), held: await count('hold'), failed: await count('dead') }
}

export async function readQueue(
  prefix: Uint8Array,
  max: { readonly waiting: number; readonly dead: number },
  previews: Previews,
  signal: AbortSignal,
): Promise<QueueView> {
  const [items, held, failed, waitingPage, deadPage] = await readEach(
    [
      ...countParts(prefix),
      getFirst(prefixRange(partKey(prefix, 'item')), max.waiting),
      getFirst(prefixRange(partKey(prefix, 'dead')), max.dead),
    ],
    signal,
  )
  const foreign: Uint8Array[] = []
  const parse = (part: Part, records: readonly KeyRow[] = []): readonly QueuedItem[] =>
    records.flatMap((record) => {
      const item = parseItem(prefix, part, record)
      if (item === undefined) foreign.push(record.key)
      return item ?? []
    })
  const waiting = parse('item', waitingPage?.records)
  const dead = parse('dead', deadPage?.records)
  const holds = await readEach(
    waiting.map(({ id }) => getKey(partKey(prefix, 'hold', id))),
    signal,
  )
  await readPreviews(prefix, [...waiting, ...dead], previews, signal)
  const preview = ({ id }: QueuedItem): Preview | undefined => previews.get(id)
  return {
    items: items?.count,
    held: held?.count,
    failed: failed?.count,
    waiting: waiting.map((item, at) => ({
      ...withHold(item, holds[at]?.records[0]),
      preview: preview(item),
    })),
    dead: dead.map((item) => ({ ...item, preview: preview(item) })),
    foreign,
  }
}

async function readPreviews(
  prefix: Uint8Array,
  items: readonly QueuedItem[],
  previews: Previews,
  signal: AbortSignal,
): Promise<void> {
  const missing = items.filter(({ id }) => !previews.has(id))
  const values = await readEach(
    missing.map(({ id }) => getKey(partKey(prefix, 'value', id))),
    signal,
  )
  for (const [at, { id }] of missing.entries()) {
    const value = values[at]?.records[0]?.value
    if (value !== undefined) previews.set(id, { start: value.slice(0, PREVIEW_BYTES), length: value.length })
  }
}

export interface ItemView {
  readonly kind: 'waiting' | 'failed'
  readonly item: QueuedItem
  /** undefined: it has none. */
  readonly value: KeyRow | undefined
}

/** `foreign`: the key of the item has another value. */
export async function readItem(
  prefix: Uint8Array,
  id: string,
  signal: AbortSignal,
): Promise<ItemView | 'gone' | { readonly kind: 'foreign'; readonly key: Uint8Array }> {
  const parts = (['item', 'dead', 'hold', 'value'] as const).map((part) => getKey(partKey(prefix, part, id)))
  const [waiting, dead, hold, value] = (await readEach(parts, signal)).map((found) => found?.records[0])
  const record = waiting ?? dead
  if (record === undefined) return 'gone'
  const part = waiting === undefined ? 'dead' : 'item'
  const item = parseItem(prefix, part, record)
  if (item === undefined) return { kind: 'foreign', key: record.key }
  return {
    kind: part === 'dead' ? 'failed' : 'waiting',
    item: part === 'item' ? withHold(item, hold) : item,
    value,
  }
}

/** Puts a failed item back, without its attempts. false: nothing was changed, because it is not as it was read. */
export const putBack = (prefix: Uint8Array, item: QueuedItem, change: MakeChange): Promise<boolean> =>
  changeDead(prefix, item, change, [
    remove(partKey(prefix, 'dead', item.id)),
    { kind: 'put', key: partKey(prefix, 'item', item.id), value: NEW_ITEM, prev: false },
  ])

/** Deletes a failed item. false: nothing was changed, because it is not as it was read. */
export const deleteFailed = (prefix: Uint8Array, item: QueuedItem, change: MakeChange): Promise<boolean> =>
  changeDead(prefix, item, change, [
    remove(partKey(prefix, 'dead', item.id)),
    remove(partKey(prefix, 'value', item.id)),
  ])

const remove = (key: Uint8Array): KvTxnOperation => ({ kind: 'delete', where: { key }, prev: false })

async function changeDead(
  prefix: Uint8Array,
  { id, record }: QueuedItem,
  change: MakeChange,
  success: readonly KvTxnOperation[],
): Promise<boolean> {
  const where = { key: partKey(prefix, 'dead', id) }
  const { result } = await change(txn, {
    kind: 'txn',
    txn: {
      compare: [{ where, op: '=', target: 'mod_revision', to: record.modRevision }],
      success,
      failure: [],
    },
    idempotency: nameChange(),
    freshness: {},
  })
  return result.succeeded
}
