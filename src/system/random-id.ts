// Random ids.

import { randomBytes } from 'node:crypto'

/** The id of a cluster or a replica: 64 random bits in decimal digits, never 0. */
export const randomId = (): string => (randomBytes(8).readBigUInt64BE() || 1n).toString()
