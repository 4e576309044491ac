// A new password of root for a store whose node does not run.

import { Passwords, passwordFault } from './auth/passwords.ts'
import { NodeStartError } from './options.ts'

/** The hash of the password. Rejects with `NodeStartError` if it is too short or too long. */
export async function hashOfRootPassword(password: string): Promise<string> {
  const fault = passwordFault(password)
  if (fault !== undefined) throw new NodeStartError(fault, { usage: true })
  return new Promise((resolve, reject) => {
    new Passwords().hash(password, (error, hash) => (error === undefined ? resolve(hash) : reject(error)))
  })
}
