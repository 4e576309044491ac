// Hashes of passwords that cost little, in place of those of `node:crypto`.

import crypto, { type BinaryLike, type ScryptOptions } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'

type Done = (error: Error | null, key: Buffer) => void

const { scrypt } = crypto

const scryptOfLeastCost = (
  password: BinaryLike,
  salt: BinaryLike,
  bytes: number,
  options: ScryptOptions,
  done: Done,
): void => scrypt(password, salt, bytes, { ...options, N: 2 }, done)

/** In the whole process. Modules that import it by name have the other one too. */
export function setQuickScrypt(isQuick: boolean): void {
  Object.assign(crypto, { scrypt: isQuick ? scryptOfLeastCost : scrypt })
  syncBuiltinESMExports()
}
