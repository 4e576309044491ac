// The rows and registers of a backup, and those of a store that is made from one.
//
// A backup has no tokens and no sessions: a client of the lost store must not get the outcome of a change that the
// restored store does not have. The restored store continues at a much higher revision, so that no revision of the
// lost store, however new, means something else here. Leases begin their time to live anew.

import { readUint64, writeUint64 } from '../bytes/index.ts'
import { asRevision, compareKeys } from '../operations/forms/index.ts'
import { userSize } from './auth/changes.ts'
import { ROOT } from './auth/names.ts'
import {
  AUTH_KEY,
  type AuthKeys,
  decodeAuthHead,
  decodeUserRow,
  encodeAuthHead,
  encodeUser,
  ROOT_KEY,
} from './auth/state.ts'
import { decodeVersion, decodeVersionKey } from './codec/rows.ts'
import { historyAfter, skipTo } from './history.ts'
import { decodeLease, noLeases } from './leases.ts'
import type { KvState } from './types.ts'
import {
  TABLE_AUTH,
  TABLE_EVENTS,
  TABLE_IDEMPOTENCY_TOKENS,
  TABLE_LEASES,
  TABLE_SESSION_SLOTS,
  TABLE_VERSIONS,
} from './types.ts'

/** The place of the deadline in the row of a lease. */
const DEADLINE_AT = 9

interface Row {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** The registers of a store as they are in its backup. */
export function backedUpState(state: KvState, withHistory: boolean): KvState {
  const { revision, idempotencyTokens: tokens, clientSessions: sessions, history } = state
  return {
    ...state,
    idempotencyTokens: { ...NO_TOKENS, oldest: tokens.next, next: tokens.next, horizon: revision },
    clientSessions: { next: sessions.next, horizon: sessions.next, oldestAtMs: 0, bytes: 0, toSweep: 0 },
    history: withHistory ? history : historyAfter(revision),
  }
}

const NO_TOKENS = { count: 0, bytes: 0, oldestAtMs: 0 }

/** Selects the rows of a backup. They are passed in the order of their keys. */
export class BackupRows {
  readonly #withHistory: boolean
  /** The user's key of the last row of versions. */
  #key: Uint8Array | undefined
  /** Keys that exist, and the bytes of them and of their values. */
  keys = 0
  bytes = 0

  constructor(withHistory: boolean) {
    this.#withHistory = withHistory
  }

  has({ key: rowKey, value }: Row): boolean {
    const table = rowKey[0] ?? 0
    if (table >= TABLE_IDEMPOTENCY_TOKENS && table <= TABLE_SESSION_SLOTS) return false
    if (table === TABLE_EVENTS) return this.#withHistory
    if (table !== TABLE_VERSIONS) return true
    const version = decodeVersionKey(rowKey)
    const { key } = version
    const isNewest = this.#key === undefined || compareKeys(this.#key, key) !== 0
    this.#key = key.slice()
    if (!isNewest) return this.#withHistory
    const record = decodeVersion(version, value)
    if (record === null) return this.#withHistory
    this.keys++
    this.bytes += key.length + record.value.length
    return true
  }
}

/** A new password of the user root, who gets the role root too. */
interface NewRoot {
  /** The row of this user in the backup. */
  readonly row: Uint8Array
  readonly passwordHash: string
}

export interface Restore {
  /** How many revisions later the restored store begins. */
  readonly bump: number
  /** The new cluster. */
  readonly clusterId: string
  /** The secrets of the new cluster. Tokens of users of the lost store are void. */
  readonly keys: AuthKeys
  /** undefined: the user root stays as it is. */
  readonly newRoot?: NewRoot | undefined
}

/** The registers of the restored store, and the row that must be added to those of the backup. */
export function restoredState(
  state: KvState,
  { bump, clusterId }: Restore,
): { readonly state: KvState; readonly added: Row | undefined } {
  const { idempotencyTokens: tokens, clientSessions: sessions, auth } = state
  const revision = asRevision(state.revision + bump)
  const { history: skipped, row } = skipTo(revision, state)
  const restored = {
    ...state,
    revision,
    idempotencyTokens: { ...tokens, ...NO_TOKENS, oldest: tokens.next, horizon: revision },
    clientSessions: { ...sessions, next: sessions.next + bump, horizon: sessions.next + bump },
    leases: { ...noLeases(clusterId), count: state.leases.count },
    auth: { ...auth, revision: auth.revision + bump },
    history: skipped,
  }
  return { state: restored, added: row }
}

/** A row as it is in the restored store. */
export function restoredRow(row: Row, state: KvState, restore: Restore): Row {
  switch (row.key[0]) {
    case TABLE_LEASES:
      return { key: row.key, value: renewed(row.value, state) }
    case TABLE_AUTH: {
      if (row.key.length === AUTH_KEY.length)
        return { key: row.key, value: restoredHead(row.value, state, restore) }
      const isRoot = restore.newRoot !== undefined && compareKeys(row.key, ROOT_KEY) === 0
      return isRoot ? { key: row.key, value: rootRow(restore.newRoot, state) } : row
    }
    default:
      return row
  }
}

/** The row that all users share: its key is new, and its size is that of the new row of root. */
function restoredHead(row: Uint8Array, state: KvState, { keys, newRoot }: Restore): Uint8Array {
  const head = decodeAuthHead(row)
  const added =
    newRoot === undefined ? 0 : userSize(ROOT, rootRow(newRoot, state)) - userSize(ROOT, newRoot.row)
  return encodeAuthHead({
    ...head,
    keys: head.keys.tokenKey.length === 0 ? head.keys : keys,
    bytes: head.bytes + added,
  })
}

function rootRow({ row, passwordHash }: NewRoot, { auth }: KvState): Uint8Array {
  // The row of root has everything but its identity, which stays.
  const root = decodeUserRow({ name: ROOT, madeAt: 0 }, row)
  const roles = [...new Set([...root.roles, ROOT])].sort()
  return encodeUser({ ...root, passwordHash, roles, epoch: auth.revision })
}

/** A lease whose time to live begins now. */
function renewed(row: Uint8Array, { clusterTimeMs, settings }: KvState): Uint8Array {
  const { ttlMs } = decodeLease(row)
  const value = new Uint8Array(row)
  const deadlineMs = clusterTimeMs + ttlMs + settings.leaseCheckpointMs
  writeUint64(value, DEADLINE_AT, Math.max(readUint64(row, DEADLINE_AT) + 1, deadlineMs))
  return value
}
