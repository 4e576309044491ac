// Passwords whose hashes cost little, for the tests of a file: a real hash takes a core for a tenth of a second.
// `test/server/auth/passwords.test.ts` computes real ones.

import crypto, { type BinaryLike, type ScryptOptions } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { afterAll, beforeAll } from 'vitest'

type Done = (error: Error | null, key: Buffer) => void

const { scrypt } = crypto

const scryptOfLeastCost = (
  password: BinaryLike,
  salt: BinaryLike,
  bytes: number,
  options: ScryptOptions,
  done: Done,
): void => scrypt(password, salt, bytes, { ...options, N: 2 }, done)

/** Registers the hooks of the file that calls it. */
export function quickPasswords(): void {
  beforeAll(() => replaceScrypt(scryptOfLeastCost))
  afterAll(() => replaceScrypt(scrypt))
}

/** Modules that import it by name have the other one too. */
function replaceScrypt(by: typeof scryptOfLeastCost): void {
  Object.assign(crypto, { scrypt: by })
  syncBuiltinESMExports()
}
