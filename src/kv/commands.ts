// The facts of the commands of the log. Most commands are operations of clients, and their facts stand there
// (`src/operations/`). Nodes propose the others by themselves.
//
// The demands are used twice. The node that proposes a command decides on all of them (`src/server/api/permit.ts`). Its
// entry carries the auth revision of these rights. At that revision apply need not decide again what depends on users,
// roles and names of keys. At another one it does: changes of others must not send writes back to their nodes. What
// depends on leases is always decided again: their keys and owners change without the auth revision.

import {
  type AccessDemand,
  ADMINISTER,
  BE_NODE,
  CALL,
  type LeaseDemand,
  NO_LEASES,
} from '../operations/forms/index.ts'
import { type EntryFacts, isOwnPassword, OPERATIONS } from '../operations/index.ts'
import type { Command, Outcome } from './types.ts'

type CommandOf<K extends Command['kind']> = Extract<Command, { readonly kind: K }>

interface CommandFacts<C> extends Pick<EntryFacts<C>, 'room' | 'demands' | 'leases'> {
  /** Whether only nodes may propose it; absent: users do. Apply checks this for each entry. */
  readonly isOfNode?: (command: C) => boolean
}

const always = (): boolean => true
const none = (): readonly LeaseDemand[] => NO_LEASES
const beNode = (): readonly AccessDemand[] => BE_NODE

const COMMANDS: { readonly [K in Command['kind']]: CommandFacts<CommandOf<K>> } = {
  put: OPERATIONS.put,
  delete: OPERATIONS.delete,
  batch: OPERATIONS.batch,
  'delete-range': OPERATIONS['delete-range'],
  txn: OPERATIONS.txn,
  grant: OPERATIONS.grant,
  revoke: OPERATIONS.revoke,
  // All versions decide alike when they apply it. Only the node that proposes it demands more.
  'open-session': { ...OPERATIONS['open-session'], demands: () => CALL },
  'raise-revision': OPERATIONS['raise-revision'],
  settings: OPERATIONS['change-settings'],
  auth: {
    room: OPERATIONS['change-auth'].room,
    demands: ({ change }, user) => (isOwnPassword(change, user) ? CALL : ADMINISTER),
    leases: none,
  },
  compact: {
    room: OPERATIONS.compact.room,
    demands: ({ revision }) => (revision === undefined ? BE_NODE : ADMINISTER),
    leases: none,
    isOfNode: ({ revision }) => revision === undefined,
  },
  renew: { room: 'frees', demands: beNode, leases: none, isOfNode: always },
  expire: { room: 'frees', demands: beNode, leases: none, isOfNode: always },
}

/** TypeScript does not see that facts and command are of one kind. */
const findFacts = (command: Command): CommandFacts<Command> => COMMANDS[command.kind] as CommandFacts<Command>

/** All rights that the user of this name needs. */
export const commandDemands = (command: Command, user: string): readonly AccessDemand[] =>
  findFacts(command).demands(command, user)

/**
 * The rights on leases that a command needs. Apply decides on them: keys and owners of leases change without the auth
 * revision.
 */
export const commandLeaseDemands = (command: Command): readonly LeaseDemand[] =>
  findFacts(command).leases(command)

/** Whether only nodes may propose the command. */
export const isOfNode = (command: Command): boolean => findFacts(command).isOfNode?.(command) === true

export const commandRoom = (kind: Command['kind']): EntryFacts<never>['room'] => COMMANDS[kind].room

/** The kind of the outcome of each command that was not refused. */
const OUTCOMES = {
  put: 'put',
  delete: 'delete',
  batch: 'batch',
  'delete-range': 'delete-range',
  txn: 'txn',
  grant: 'granted',
  revoke: 'revoked',
  'open-session': 'session',
  settings: 'settings',
  auth: 'auth',
  compact: 'compacted',
  'raise-revision': 'revision-raised',
  renew: 'renewed',
  expire: 'expired',
} as const satisfies Readonly<Record<Command['kind'], Outcome['kind']>>

export const commandOutcomeKind = ({ kind }: Command): Outcome['kind'] => OUTCOMES[kind]

/** The outcome of a command that was not refused. */
export type OutcomeOf<K extends Command['kind']> = Extract<Outcome, { readonly kind: (typeof OUTCOMES)[K] }>
