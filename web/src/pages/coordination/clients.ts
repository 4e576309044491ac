// Holders and waiters of a lock, a lead or a permit, as the keys say. Each client has a key with its lease. The create
// revision of the key is the position of the client, and its fencing token.

import { encodeUtf8 } from '../../../../src/bytes/index.ts'
import type { KeyRow, LeaseId } from '../../../../src/operations/forms/store.ts'
import type { RecipeName } from './names.ts'

/** `unknown`: the store does not say whether it holds or waits. */
export type ClientState = 'holds' | 'waits' | 'unknown'
export type ClientMode = 'reads' | 'writes'

export interface QueuedClient {
  readonly key: Uint8Array
  readonly lease: LeaseId
  readonly token: number
  readonly state: ClientState
  /** The claim of a client of a read-write lock. */
  readonly mode: ClientMode | undefined
}

export interface ClientQueue {
  /** Clients in the order of their turns. */
  readonly clients: readonly QueuedClient[]
  /** Keys without a lease: of an import, or of another program. The recipe leaves them out. */
  readonly foreign: readonly KeyRow[]
}

const WRITER = encodeUtf8('w/')

export function orderClients({ recipe, prefix }: RecipeName, records: readonly KeyRow[]): ClientQueue {
  const foreign = records.filter(({ lease }) => lease === undefined)
  const queued = records
    .flatMap(({ key, lease, createRevision: token }) => (lease === undefined ? [] : [{ key, lease, token }]))
    .sort((a, b) => a.token - b.token)
  let writers = 0
  const clients = queued.map((client, at): QueuedClient => {
    if (recipe === 'semaphore') return { ...client, state: 'unknown', mode: undefined }
    if (recipe !== 'rwlock') return { ...client, state: at === 0 ? 'holds' : 'waits', mode: undefined }
    // A reader waits for the writers before it, a writer for all.
    const writes = WRITER.every((byte, offset) => client.key[prefix.length + offset] === byte)
    const isFree = writes ? at === 0 : writers === 0
    if (writes) writers++
    return { ...client, state: isFree ? 'holds' : 'waits', mode: writes ? 'writes' : 'reads' }
  })
  return { clients, foreign }
}

export const findHolders = ({ clients }: ClientQueue): readonly QueuedClient[] =>
  clients.filter(({ state }) => state === 'holds')
