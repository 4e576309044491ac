// The fingerprint of a command under an idempotency token or a session slot: half of a SHA-256. The node that proposes
// the command calculates it once, with the native digest of Node. Apply compares it on every replica.

import { createHash, hash } from 'node:crypto'
import { type CommandDigest, FINGERPRINT_BYTES } from '../../../kv/index.ts'

/** Larger commands are not copied behind their kind. */
const COPIED_BYTES_MAX = 16 * 1024
const copied = Buffer.alloc(1 + COPIED_BYTES_MAX)

export const commandDigest: CommandDigest = (kind, command) =>
  computeDigest(kind, command).subarray(0, FINGERPRINT_BYTES)

function computeDigest(kind: number, command: Uint8Array): Uint8Array {
  if (command.length > COPIED_BYTES_MAX)
    return createHash('sha256').update(Uint8Array.of(kind)).update(command).digest()
  copied[0] = kind
  copied.set(command, 1)
  return hash('sha256', copied.subarray(0, 1 + command.length), 'buffer')
}
