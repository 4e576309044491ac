// New secrets of a cluster, drawn when rights begin to be checked, and when a store is restored.

import { randomBytes } from 'node:crypto'
import { AUTH_TOKEN_KEY_BYTES, type AuthKeys, LEASE_ID_KEY_BYTES } from '../../kv/index.ts'

export const newAuthKeys = (): AuthKeys => ({
  tokenKey: randomBytes(AUTH_TOKEN_KEY_BYTES),
  leaseIdKey: randomBytes(LEASE_ID_KEY_BYTES),
})
