// Small clients, one at each node: each writes and reads a key again and again, with a second of patience, so that one
// sees what a fault does to clients on both sides of it.

import { signal } from '@preact/signals'
import { encodeUtf8 } from '../../../../src/bytes/utf8.ts'
import { get } from '../../../../src/operations/get.ts'
import { put } from '../../../../src/operations/put.ts'
import { type Door, RefusedError, run, UnreachableError } from '../../cluster/connection.ts'
import type { Outcome } from '../../design/mark.tsx'

export interface ClientOperation {
  readonly id: number
  readonly kind: 'write' | 'read'
  /** The time of `Date.now()` at which it began. */
  readonly from: number
  /** undefined: it is in flight. */
  readonly to: number | undefined
  /** The outcome of a write. For a read: it was answered (`written`), or not (`not-written`). */
  readonly outcome: Outcome | undefined
  readonly detail: string
}

/** The time that is kept and shown. */
export const SHOWN_MS = 60_000
const PAUSE_MS = 500
const TIMEOUT_MS = 1_000

/** Operations by the name of the node, the oldest first. */
export const operations = signal<ReadonlyMap<string, readonly ClientOperation[]>>(new Map())

let lastId = 0

/** Runs a client at this node until the signal fires. */
export async function runClient(door: Door, ended: AbortSignal): Promise<void> {
  for (let count = 1; !ended.aborted; count++) {
    await record(door, 'write', ended, async () => {
      await run(
        put,
        {
          kind: 'put',
          key: clientKey(door.node),
          value: encodeUtf8(String(count)),
          condition: undefined,
          prev: false,
          idempotency: undefined,
        },
        { timeoutMs: TIMEOUT_MS, door },
      )
      return `wrote ${count}`
    })
    await record(door, 'read', ended, async () => {
      const request = { kind: 'get', key: clientKey(door.node), freshness: {} } as const
      const { result } = await run(get, request, { timeoutMs: TIMEOUT_MS, door })
      return `read version ${result?.version ?? 0}`
    })
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}

/** The keys of these clients. */
export const clientKey = (node: string): Uint8Array => encodeUtf8(`console/client/${node}`)

async function record(
  { node }: Door,
  kind: ClientOperation['kind'],
  ended: AbortSignal,
  work: () => Promise<string>,
): Promise<void> {
  if (ended.aborted) return
  const begun: ClientOperation = {
    id: ++lastId,
    kind,
    from: Date.now(),
    to: undefined,
    outcome: undefined,
    detail: '',
  }
  keep(node, begun)
  try {
    const detail = await work()
    keep(node, { ...begun, to: Date.now(), outcome: 'written', detail })
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    keep(node, { ...begun, to: Date.now(), outcome: judgeFailure(kind, error), detail })
  }
}

function judgeFailure(kind: ClientOperation['kind'], error: unknown): Outcome {
  if (kind === 'read') return 'not-written'
  const written =
    error instanceof RefusedError
      ? error.problem.written
      : error instanceof UnreachableError
        ? error.written
        : 'unknown'
  return written === 'no' ? 'not-written' : 'unknown'
}

function keep(node: string, operation: ClientOperation): void {
  const since = Date.now() - SHOWN_MS
  const kept = (operations.peek().get(node) ?? []).filter(
    ({ id, to }) => id !== operation.id && (to ?? Infinity) > since,
  )
  operations.value = new Map([...operations.peek(), [node, [...kept, operation].sort((a, b) => a.id - b.id)]])
}
