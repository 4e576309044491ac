// A client that records its operations and their outcomes. It is a proxy of the real one: every read or change of keys
// is recorded, and the rest is passed on.
//
// Each method of the client must be in the table METHODS; the compiler says so when one is added. A change that nobody
// recorded would make a correct store look broken, so what cannot be recorded yet is refused.

import { Client, inspect, transactThrough } from '../../src/client/client.ts'
import { checkOptions, checkValue } from '../../src/client/validators.ts'
import { RecordedHistory } from '../history/recorded-history.ts'
import { list } from './recorded-list.ts'
import { count, del, get, put, putJson } from './recorded-single.ts'
import { transact } from './recorded-transact.ts'
import { txn } from './recorded-txn.ts'
import type { Method, Recording } from './recording.ts'

export interface RecordedOptions {
  /** Write into this history, with other clients. Default: a new one. */
  readonly history?: RecordedHistory | undefined
}

/** A client whose operations are in `history`. */
export type RecordedClient = Client & { readonly history: RecordedHistory }

const METHODS: { readonly [Name in keyof Client]: 'passes' | 'refused' | Method<Name> } = {
  put,
  putJson,
  get,
  delete: del,
  list,
  count,
  txn,
  transact,
  deleteRange: 'refused',
  // They do not touch keys.
  compact: 'passes',
  raiseRevision: 'passes',
  grantLease: 'passes',
  keepLeaseAlive: 'passes',
  keepLeasesAlive: 'passes',
  lease: 'passes',
  leases: 'passes',
  // The end of a lease deletes keys, which no history knows.
  revokeLease: 'refused',
  session: 'refused',
  // Histories have no form for these yet.
  watch: 'passes',
  mirror: 'passes',
  endpoints: 'passes',
  revision: 'passes',
  status: 'passes',
  cluster: 'passes',
  members: 'passes',
  leader: 'passes',
  addMember: 'passes',
  removeMember: 'passes',
  replaceMember: 'passes',
  transferLeader: 'passes',
  settings: 'passes',
  changeSettings: 'passes',
  auth: 'passes',
  users: 'passes',
  roles: 'passes',
  backup: 'passes',
  close: 'passes',
  [Symbol.asyncDispose]: 'passes',
  [inspect]: 'passes',
  [transactThrough]: 'passes',
}

/**
 * The same client, recorded. It is used like the client itself.
 *
 * @example
 * const kv = recorded(cluster.client())
 * await kv.put('a', '1')
 * checkLinearizable(kv.history)
 */
export function recorded(client: Client, options: RecordedOptions = {}): RecordedClient {
  checkValue('recorded', 'client', client, (value) => (value instanceof Client ? undefined : 'a Client'))
  checkOptions('recorded', options, {
    history: (value) => (value instanceof RecordedHistory ? undefined : 'a RecordedHistory'),
  })
  const history = options.history ?? new RecordedHistory()
  const recording: Recording = { client, history, name: history.newClient() }
  const own = new Map<PropertyKey, unknown>([['history', history]])
  for (const [name, method] of Object.entries(METHODS)) {
    if (typeof method === 'function') own.set(name, method(recording))
  }
  return new Proxy(client, {
    get(target, name) {
      if (own.has(name)) return own.get(name)
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      if (Object.hasOwn(METHODS, name) && METHODS[name as keyof Client] === 'refused') {
        return () => {
          throw new TypeError(`recorded: ${String(name)} is not recorded yet. Call it on a client of its own`)
        }
      }
      return value.bind(target)
    },
  }) as RecordedClient
}
