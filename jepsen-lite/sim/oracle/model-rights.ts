// Users and rights in the model: what each user may do at each index, by brute force. It shares no code with
// `src/kv/auth` and `src/server/api/permit.ts`.

import type { AuthChange, Command } from '../../../src/kv/index.ts'
import type { Permission, PutLease, Where } from '../../../src/operations/forms/index.ts'
import type { KvTxn, KvTxnOperation } from '../../../src/operations/index.ts'
import { text } from './model-row.ts'

interface Bounds {
  readonly start: string
  /** undefined: there is no end. */
  readonly end: string | undefined
}

interface Need extends Bounds {
  readonly to: 'read' | 'write'
}

/** Commands that only administrators may request, or that the users of the simulator never request. */
const ROOT_ONLY = 'root'

interface ModelUser {
  readonly madeAt: number
  readonly roles: readonly string[]
  readonly hasPassword: boolean
  /** The auth revision of the latest password. */
  readonly passwordAt: number
}

/** A lease as rights on it are decided. */
interface LeaseOfUser {
  /** The revision at which the user was made to whom it was granted; 0: nobody. */
  readonly owner: number
  readonly keys: readonly string[]
}

export class ModelRights {
  enabled = false
  /** The key of the ids of leases. */
  leaseIdKey = new Uint8Array(16)
  /** Raised by each change. */
  revision = 1
  /** Roles of each user. */
  readonly #users = new Map<string, ModelUser>()
  readonly #roles = new Map<string, readonly Permission[]>()

  /** The code of the refusal, if it is refused. */
  change({ change, ifRevision }: Extract<Command, { kind: 'auth' }>): string | undefined {
    if (ifRevision !== undefined && ifRevision !== this.revision) return 'precondition_failed'
    const refusal = this.#refusal(change)
    if (refusal !== undefined) return refusal
    this.revision++
    this.#make(change)
    return undefined
  }

  #refusal(change: AuthChange): string | undefined {
    const root = this.#users.get('root')
    const isAble = (hasPassword: boolean, roles: readonly string[]): boolean =>
      !this.enabled || (hasPassword && roles.includes('root'))
    switch (change.kind) {
      case 'enable':
        return root?.hasPassword && root.roles.includes('root') ? undefined : 'bad_request'
      case 'delete-user':
        if (!this.#users.has(change.name)) return 'not_found'
        return change.name !== 'root' || isAble(false, []) ? undefined : 'bad_request'
      case 'delete-role':
        return this.#roles.has(change.name) ? undefined : 'not_found'
      case 'put-user': {
        const unknown = change.roles?.some((role) => role !== 'root' && !this.#roles.has(role))
        if (unknown) return 'bad_request'
        const { name, passwordHash: hash, roles = root?.roles ?? [] } = change
        const hasPassword = hash === undefined ? root?.hasPassword === true : hash !== null
        return name !== 'root' || isAble(hasPassword, roles) ? undefined : 'bad_request'
      }
      default:
        return undefined
    }
  }

  #make(change: AuthChange): void {
    switch (change.kind) {
      case 'enable':
        this.enabled = true
        this.leaseIdKey = new Uint8Array(change.leaseIdKey)
        return
      case 'disable':
        this.enabled = false
        return
      case 'put-user': {
        const before = this.#users.get(change.name)
        const { passwordHash: hash, roles = before?.roles ?? [] } = change
        const hasPassword = hash === undefined ? before?.hasPassword === true : hash !== null
        const passwordAt = hash === undefined ? (before?.passwordAt ?? this.revision) : this.revision
        const madeAt = before?.madeAt ?? this.revision
        this.#users.set(change.name, { madeAt, roles, hasPassword, passwordAt })
        return
      }
      case 'delete-user':
        this.#users.delete(change.name)
        return
      case 'put-role':
        this.#roles.set(change.name, change.permissions)
        return
      case 'delete-role':
        this.#roles.delete(change.name)
        for (const [name, user] of this.#users)
          this.#users.set(name, { ...user, roles: user.roles.filter((role) => role !== change.name) })
    }
  }

  /** The user's identity; 0: there is no such user. */
  findMadeAt(user: string): number {
    return this.#users.get(user)?.madeAt ?? 0
  }

  /** Whether this is still the user who was permitted a request at an auth revision, with the password of then. */
  isStill(user: string, madeAt: number, at: number): boolean {
    const known = this.#users.get(user)
    return known !== undefined && known.madeAt === madeAt && known.passwordAt <= at
  }

  /** Whether the keys of a lease decide for this user. */
  isDecidedByKeys(user: string): boolean {
    const known = this.#users.get(user)
    return known !== undefined && !known.roles.includes('root')
  }

  /** Whether the user may attach a key to the lease, or revoke it. To be its owner is enough only without keys. */
  mayUse(user: string, { owner, keys }: LeaseOfUser): boolean {
    const known = this.#users.get(user)
    if (known === undefined || known.roles.includes('root')) return known !== undefined
    if (keys.length === 0) return owner === known.madeAt
    const permissions = known.roles.flatMap((role) => this.#roles.get(role) ?? [])
    return keys.every((key) => covers(permissions, { to: 'write', start: key, end: `${key}\0` }))
  }

  /** Whether the user may write all keys with this beginning. */
  mayWritePrefix(user: string, prefix: string): boolean {
    const permissions = this.#users.get(user)?.roles.flatMap((role) => this.#roles.get(role) ?? []) ?? []
    const last = prefix.charCodeAt(prefix.length - 1)
    const end = prefix === '' ? undefined : prefix.slice(0, -1) + String.fromCharCode(last + 1)
    return covers(permissions, { to: 'write', start: prefix, end })
  }

  /** Right that the user needs for this command and does not have now; undefined: nothing. */
  lacks(user: string, command: Command): Need | typeof ROOT_ONLY | undefined {
    const roles = this.#users.get(user)?.roles ?? []
    if (roles.includes('root')) return undefined
    const needs = commandNeeds(command)
    if (needs === ROOT_ONLY) return needs
    const permissions = roles.flatMap((role) => this.#roles.get(role) ?? [])
    return needs.find((need) => !covers(permissions, need))
  }
}

/**
 * Whether every key of the range is in a permission. Between two bounds all keys are alike, so one key after each bound
 * is enough.
 */
function covers(permissions: readonly Permission[], { to, start, end }: Need): boolean {
  const granted = permissions.flatMap(({ access, range }): Bounds[] =>
    range !== undefined && (access === to || access === 'readwrite')
      ? [{ start: text(range.start), end: range.end && text(range.end) }]
      : [],
  )
  const bounds = [
    start,
    ...granted.flatMap((range) => [range.start, ...((range.end ?? '') ? [range.end ?? ''] : [])]),
  ]
  const tried = bounds.filter((key) => isWithin(key, { start, end }))
  return tried.every((key) => granted.some((range) => isWithin(key, range)))
}

const isWithin = (key: string, { start, end }: Bounds): boolean =>
  key >= start && (end === undefined || key < end)

function commandNeeds(command: Command): readonly Need[] | typeof ROOT_ONLY {
  switch (command.kind) {
    case 'put':
    case 'delete':
      return changing(command, command.prev || command.condition !== undefined)
    case 'batch':
      return command.commands.flatMap((each) => changing(each, each.condition !== undefined))
    case 'delete-range':
      return changing(command.range, false)
    case 'txn':
      return needsOfTxn(command.txn)
    case 'grant':
    case 'revoke':
    case 'open-session':
      return []
    default:
      return ROOT_ONLY
  }
}

/** The leases that the command needs a right to. */
export function commandLeases(command: Command): readonly string[] {
  switch (command.kind) {
    case 'put':
      return putLeaseIds(command)
    case 'batch':
      return command.commands.flatMap((each) => (each.kind === 'put' ? putLeaseIds(each) : []))
    case 'txn':
      return leasesOfTxn(command.txn)
    case 'revoke':
      return [command.id]
    default:
      return []
  }
}

const leasesOfTxn = ({ success, failure }: KvTxn): readonly string[] =>
  [...success, ...failure].flatMap((operation) => {
    if (operation.kind === 'txn') return leasesOfTxn(operation.txn)
    return operation.kind === 'put' ? putLeaseIds(operation) : []
  })

const putLeaseIds = ({ lease }: { readonly lease?: PutLease | undefined }): readonly string[] =>
  lease !== undefined && 'id' in lease ? [lease.id] : []

const needsOfTxn = ({ compare, success, failure }: KvTxn): readonly Need[] => [
  ...compare.map(({ where }): Need => ({ to: 'read', ...placeBounds(where) })),
  ...[...success, ...failure].flatMap(needsOfOperation),
]

function needsOfOperation(operation: KvTxnOperation): readonly Need[] {
  switch (operation.kind) {
    case 'put':
      return changing(operation, operation.prev)
    case 'delete':
      return changing(operation.where, operation.prev)
    case 'get':
      return [{ to: 'read', ...placeBounds(operation.where) }]
    case 'txn':
      return needsOfTxn(operation.txn)
  }
}

function changing(where: Where, reads: boolean): readonly Need[] {
  const bounds = placeBounds(where)
  const write: Need = { to: 'write', ...bounds }
  return reads ? [write, { to: 'read', ...bounds }] : [write]
}

/** Keys of the simulator have no zero byte: the next one after a key is the key with one. */
function placeBounds(where: Where): Bounds {
  if ('key' in where) return { start: text(where.key), end: `${text(where.key)}\0` }
  return { start: text(where.start), end: where.end && text(where.end) }
}
