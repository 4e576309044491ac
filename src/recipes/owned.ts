// A key that at most one process owns: it creates the key with the lease of a session, and the key goes with the lease.
// The revision that created the key is the owner's token. A transaction with `guard` is done only while the key is that
// of this owner: this, and no clock, keeps a former owner from writing.

import {
  AbortedError,
  type Client,
  OutcomeUnknownError,
  type Session,
  type TxnComparison,
} from '../client/index.ts'
import { changeAfter, type Watching } from './watching.ts'

export interface Owned {
  /** Greater than that of every earlier owner. */
  readonly token: number
  /** Holds while it is owned. */
  readonly guard: TxnComparison
  readonly session: Session
  /** Ends the session, which deletes the key. */
  release(): Promise<void>
}

export interface OwnOptions {
  readonly ttlMs: number
  /** false: undefined is returned if another owner is there. true: waits until it is gone. */
  readonly wait: boolean
  readonly signal?: AbortSignal | undefined
}

export async function own(
  kv: Pick<Client, 'txn' | 'session'> & Watching,
  key: Uint8Array,
  { ttlMs, wait, signal }: OwnOptions,
): Promise<Owned | undefined> {
  const session = await kv.session({ ttlMs, signal })
  const isOver = signal === undefined ? session.signal : AbortSignal.any([signal, session.signal])
  const owned = (token: number): Owned => ({
    token,
    guard: { key, target: 'create_revision', op: '=', to: token },
    session,
    release: () => session.close(),
  })
  try {
    for (;;) {
      const create = {
        compare: [{ key, exists: false }],
        success: [{ put: { key, value: '', lease: session.lease } }],
        failure: [{ get: { key } }],
      }
      const tried = await kv.txn(create, { signal: isOver }).catch((error: unknown) => {
        // It may be there: the next try finds it with this session's lease.
        if (error instanceof OutcomeUnknownError && !(error instanceof AbortedError)) return undefined
        throw error
      })
      if (tried === undefined) continue
      const created = tried.results[0]?.put
      if (created !== undefined) return owned(created.createRevision)
      const holder = tried.results[0]?.get?.kvs?.[0]
      if (holder?.lease === session.lease) return owned(holder.createRevision)
      // Without a holder the answer is that of an earlier try, in which the cluster remembers no reads.
      if (holder === undefined) continue
      if (!wait) break
      await changeAfter(kv, { key, only: 'delete' }, tried.revision, isOver)
    }
  } catch (error) {
    await session.close()
    throw session.signal.aborted && signal?.aborted !== true && isOfSignal(error)
      ? session.signal.reason
      : error
  }
  await session.close()
  return undefined
}

const isOfSignal = (error: unknown): boolean => error instanceof AbortedError
