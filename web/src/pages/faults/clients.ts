// Small clients, one at each node: each writes and reads a key again and again, with a second of patience, so that one
// sees what a fault does to clients on both sides of it.

import { signal } from '@preact/signals'
import { encodeUtf8 } from '../../../../src/bytes/utf8.ts'
import { get } from '../../../../src/operations/get.ts'
import { put } from '../../../../src/operations/put.ts'
import { isOutcomeUnknown, type NodeEndpoint, run } from '../../cluster/connection.ts'
import { nodeTurns } from '../../cluster/request-turns.ts'
import type { WriteOutcome } from '../../design/mark.tsx'

export interface ShownOperation {
  readonly id: number
  readonly kind: 'write' | 'read'
  /** The time of `Date.now()` at which it began. */
  readonly from: number
  /** undefined: it is in flight. */
  readonly to: number | undefined
  /** The outcome of a write. For a read: it was answered (`written`), or not (`not-written`). */
  readonly outcome: WriteOutcome | undefined
  readonly detail: string
}

/** The time that is kept and shown. */
export const SHOWN_MS = 60_000
const PAUSE_MS = 500
/** The patience of a client: the node is given a little less, so that its own answer arrives in time. */
const PATIENCE = { timeoutMs: 900, graceMs: 100 }

/** Operations by the name of the node, the oldest first. */
export const operations = signal<ReadonlyMap<string, readonly ShownOperation[]>>(new Map())

let lastId = 0

/** Runs a client at this node until the signal fires. */
export async function runClient(endpoint: NodeEndpoint, ended: AbortSignal): Promise<void> {
  for (let count = 1; !ended.aborted; count++) {
    await recordTurn(endpoint, 'write', ended, async () => {
      await run(
        put,
        {
          kind: 'put',
          key: clientKey(endpoint.node),
          value: encodeUtf8(String(count)),
          condition: undefined,
          prev: false,
          idempotency: undefined,
        },
        { ...PATIENCE, endpoint },
      )
      return `wrote ${count}`
    })
    await recordTurn(endpoint, 'read', ended, async () => {
      const request = { kind: 'get', key: clientKey(endpoint.node), freshness: {} } as const
      const { result } = await run(get, request, { ...PATIENCE, endpoint })
      return `read version ${result?.version ?? 0}`
    })
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}

/** The keys of these clients. */
export const clientKey = (node: string): Uint8Array => encodeUtf8(`console/client/${node}`)

/** The operation begins, and is shown, when it is sent. */
const recordTurn = (
  { node }: NodeEndpoint,
  kind: ShownOperation['kind'],
  ended: AbortSignal,
  work: () => Promise<string>,
): Promise<void> => nodeTurns.take(node, async () => (ended.aborted ? undefined : record(node, kind, work)))

async function record(
  node: string,
  kind: ShownOperation['kind'],
  work: () => Promise<string>,
): Promise<void> {
  const begun: ShownOperation = {
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

function judgeFailure(kind: ShownOperation['kind'], error: unknown): WriteOutcome {
  return kind === 'write' && isOutcomeUnknown(error) ? 'unknown' : 'not-written'
}

function keep(node: string, operation: ShownOperation): void {
  const since = Date.now() - SHOWN_MS
  const kept = (operations.peek().get(node) ?? []).filter(
    ({ id, to }) => id !== operation.id && (to ?? Infinity) > since,
  )
  operations.value = new Map([...operations.peek(), [node, [...kept, operation].sort((a, b) => a.id - b.id)]])
}
