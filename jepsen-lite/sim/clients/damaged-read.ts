import { CorruptionError, StorageFailedError } from '../../../src/storage/index.ts'

export const DAMAGED = Symbol('damaged')

/** Result of a read of a node. A read of damaged rows ends the node; HTTP would answer with an error. */
export function unlessDamaged<T>(read: () => T): T | typeof DAMAGED {
  try {
    return read()
  } catch (error) {
    if (error instanceof CorruptionError || error instanceof StorageFailedError) return DAMAGED
    throw error
  }
}
