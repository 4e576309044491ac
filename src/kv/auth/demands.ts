// The rights that a command needs, in one table: a command without a rule does not compile.
//
// The rule is used twice. The node that proposes a command decides on all demands (`src/server/api/permit.ts`). Its
// entry carries the auth revision of these rights. At that revision apply need not decide again what depends on users,
// roles and names of keys. At another one it does, by the same table: changes of others must not send writes back to
// their nodes. What depends on leases is always decided again: their keys and owners change without the auth revision
// (`lease-rights.ts`).

import { keyAfter } from '../codec/rows.ts'
import { assertNever } from '../errors.ts'
import type {
  AuthChange,
  BatchedCommand,
  Command,
  KeyRange,
  KvTxn,
  Operation,
  PutLease,
  Where,
} from '../types.ts'
import { type LeaseDemand, NO_LEASES } from './lease-rights.ts'
import type { Rights } from './rights.ts'

/** A right that somebody needs. */
export type AccessDemand =
  | { readonly to: 'read' | 'write'; readonly range: KeyRange }
  | LeaseDemand
  /** Members, settings, compaction, users and roles. */
  | { readonly to: 'administer' }
  /** Any user. */
  | { readonly to: 'call' }
  /** Nodes do it by themselves. No user may. */
  | { readonly to: 'be-node' }

type CommandOf<K extends Command['kind']> = Extract<Command, { readonly kind: K }>

interface Rule<K extends Command['kind']> {
  /** `user`: the name of the user who makes the request. */
  readonly demands: (command: CommandOf<K>, user: string) => readonly AccessDemand[]
  /** The demands on leases alone. Most commands have none, and pay nothing at apply. */
  readonly leases: (command: CommandOf<K>) => readonly LeaseDemand[]
  /** Whether only nodes may propose the command; undefined: users do. Apply looks at each entry so. */
  readonly ofNode?: (command: CommandOf<K>) => boolean
}

const CALL: readonly AccessDemand[] = [{ to: 'call' }]
const ADMINISTER: readonly AccessDemand[] = [{ to: 'administer' }]
const BE_NODE: readonly AccessDemand[] = [{ to: 'be-node' }]
const none = (): readonly LeaseDemand[] => NO_LEASES
const always = (): boolean => true

const RULES: { readonly [K in Command['kind']]: Rule<K> } = {
  put: {
    demands: (put) => change({ key: put.key }, put.condition !== undefined || put.prev),
    leases: ({ lease }) => attachment(lease),
  },
  delete: {
    demands: ({ key, condition, prev }) => change({ key }, condition !== undefined || prev),
    leases: none,
  },
  batch: {
    demands: ({ commands }) => commands.flatMap((each) => change(each, each.condition !== undefined)),
    leases: ({ commands }) =>
      commands.some(hasLease)
        ? commands.flatMap((each) => (hasLease(each) ? attachment(each.lease) : []))
        : NO_LEASES,
  },
  'delete-range': { demands: ({ range }) => change(range, false), leases: none },
  txn: { demands: ({ txn }) => [...CALL, ...demandsOfTxn(txn)], leases: ({ txn }) => leasesOfTxn(txn) },
  settings: { demands: () => ADMINISTER, leases: none },
  compact: {
    demands: (command) => (isOfNode(command) ? BE_NODE : ADMINISTER),
    leases: none,
    ofNode: ({ revision }) => revision === undefined,
  },
  grant: { demands: () => CALL, leases: none },
  renew: { demands: () => BE_NODE, leases: none, ofNode: always },
  expire: { demands: () => BE_NODE, leases: none, ofNode: always },
  revoke: { demands: () => CALL, leases: ({ id }) => [{ to: 'revoke', lease: id }] },
  'open-session': { demands: () => CALL, leases: none },
  auth: { demands: ({ change }, user) => (isOwnPassword(change, user) ? CALL : ADMINISTER), leases: none },
}

/** TypeScript does not see that the rule and the command are of one kind. */
const ruleOf = (command: Command): Rule<Command['kind']> => RULES[command.kind] as Rule<Command['kind']>

/** All rights that a user needs for a command. */
export function demandsOf(command: Command, user: string): readonly AccessDemand[] {
  const { demands, leases } = ruleOf(command)
  return [...demands(command as never, user), ...leases(command as never)]
}

/** The rights on leases that a command needs. */
export const leaseDemandsOf = (command: Command): readonly LeaseDemand[] =>
  ruleOf(command).leases(command as never)

/** Whether a user with these rights meets a demand, but for what a lease decides. */
export function isMet(demand: AccessDemand, rights: Rights): boolean {
  switch (demand.to) {
    case 'read':
      return rights.mayRead(demand.range)
    case 'write':
      return rights.mayWrite(demand.range)
    case 'administer':
      return rights.isAdmin
    case 'be-node':
      return false
    case 'call':
    case 'attach':
    case 'keep-alive':
    case 'revoke':
    case 'read-lease':
      return true
    default:
      return assertNever(demand, 'demand')
  }
}

/** Whether only nodes may propose the command. */
export const isOfNode = (command: Command): boolean => ruleOf(command).ofNode?.(command as never) === true

/** `name` sets a password of his own, and changes nothing else. */
export const isOwnPassword = (change: AuthChange, name: string): boolean =>
  change.kind === 'put-user' &&
  change.name === name &&
  change.roles === undefined &&
  typeof change.passwordHash === 'string'

const hasLease = (command: BatchedCommand): command is Extract<BatchedCommand, { kind: 'put' }> =>
  command.kind === 'put' && command.lease !== undefined

/** The demands of all branches, nested transactions too: which one is done is known only when it is applied. */
const demandsOfTxn = ({ compare, success, failure }: KvTxn): readonly AccessDemand[] => [
  ...compare.map(({ where }) => reading(where)),
  ...[...success, ...failure].flatMap(demandsOfOperation),
]

function demandsOfOperation(operation: Operation): readonly AccessDemand[] {
  switch (operation.kind) {
    case 'put':
      return change({ key: operation.key }, operation.prev)
    case 'get':
      return [reading(operation.where)]
    case 'delete':
      return change(operation.where, operation.prev)
    case 'txn':
      return demandsOfTxn(operation.txn)
    default:
      return assertNever(operation, 'operation')
  }
}

const leasesOfTxn = ({ success, failure }: KvTxn): readonly LeaseDemand[] =>
  [...success, ...failure].flatMap(leasesOfOperation)

function leasesOfOperation(operation: Operation): readonly LeaseDemand[] {
  switch (operation.kind) {
    case 'put':
      return attachment(operation.lease)
    case 'get':
    case 'delete':
      return NO_LEASES
    case 'txn':
      return leasesOfTxn(operation.txn)
    default:
      return assertNever(operation, 'operation')
  }
}

/** `reads`: the answer says something about the keys before the change. */
const change = (where: Where, reads: boolean): readonly AccessDemand[] => {
  const range = rangeOf(where)
  return reads
    ? [
        { to: 'write', range },
        { to: 'read', range },
      ]
    : [{ to: 'write', range }]
}

/** The right to read what is at a place. */
export const reading = (where: Where): AccessDemand => ({ to: 'read', range: rangeOf(where) })

/** A key that is attached to a lease ends with its other keys. A lease of the key's own has no other key. */
const attachment = (lease: PutLease | undefined): readonly LeaseDemand[] =>
  lease !== undefined && 'id' in lease ? [{ to: 'attach', lease: lease.id }] : NO_LEASES

const rangeOf = (where: Where): KeyRange =>
  'key' in where ? { start: where.key, end: keyAfter(where.key) } : where
