// Passwords whose hashes cost little, for the tests of a file: a real hash takes a core for a tenth of a second.
// `test/server/auth/passwords.test.ts` computes real ones.

import { afterAll, beforeAll } from 'vitest'
import { setQuickScrypt } from './quick-scrypt.ts'

/** Registers the hooks of the file that calls it. */
export function quickPasswords(): void {
  beforeAll(() => setQuickScrypt(true))
  afterAll(() => setQuickScrypt(false))
}
