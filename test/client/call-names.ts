// Names of all public calls of a client. A table with this key does not compile without a new call.

import type { AuthSwitch, Roles, Users } from '../../src/client/auth-types.ts'
import { Client } from '../../src/client/index.ts'

type Named<Group extends string, Calls> = `${Group}.${Extract<keyof Calls, string>}`

export type CallName =
  | Exclude<Extract<keyof Client, string>, 'endpoints' | 'revision' | 'close' | 'auth' | 'users' | 'roles'>
  | Named<'auth', AuthSwitch>
  | Named<'users', Users>
  | Named<'roles', Roles>

/** The calls of the class, whatever the types say. */
export function callsOf(kv: Client): string[] {
  const methods = Object.entries(Object.getOwnPropertyDescriptors(Client.prototype))
    .filter(([name, { value }]) => typeof value === 'function' && name !== 'constructor' && name !== 'close')
    .map(([name]) => name)
  const grouped = Object.entries(kv).flatMap(([group, calls]) =>
    Object.keys(calls as object).map((name) => `${group}.${name}`),
  )
  return [...methods, ...grouped]
}
