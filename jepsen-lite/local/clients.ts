// The clients: each sends one operation at a time, at random times, to a random node or always to the same one, and
// records the operation and its end. A client does not repeat failed requests.

import { pause } from '../../src/client/timer.ts'
import type { ClientTls } from '../../src/client/types.ts'
import type { Recorder } from '../workload/history.ts'
import type { Random } from '../workload/random.ts'
import { recordTransaction, type StoreTransaction } from '../workload/transaction.ts'
import { WIRES, type WireName } from './wires/index.ts'
import type { NodeAddress, RequestEnd, WireClient } from './wires/wire.ts'
import type { Workload, WorkloadRequest } from './workload.ts'

/** The deadline of an operation. */
const OPERATION_MS_MAX = 2_000
/** A client that is late catches up by at most this much, so that it does not send many operations at once. */
const BEHIND_MS_MAX = 500

const UNREACHABLE_PAUSE_MS = 100

interface LoadClientOptions {
  readonly id: number
  /** Operations a second of this client. */
  readonly rate: number
  readonly workload: Workload
  readonly random: Random
  readonly wire: WireName
  /** Certificates; undefined: the nodes use no TLS. */
  readonly tls?: ClientTls | undefined
  readonly recorder: Recorder
  /** The nodes that it may ask now; never empty. */
  readonly targets: () => readonly NodeAddress[]
  /**
   * The client always uses the same node, also while it is cut off or deposed: stale answers would come from there.
   */
  readonly stays: boolean
  readonly signal: AbortSignal
  /** Called with each answer that no server should give. */
  readonly report: (message: string) => void
}

/** Resolves after `signal` is aborted and the current operation has ended. */
export async function runClient(options: LoadClientOptions): Promise<void> {
  const { id, rate, workload, random, wire, tls, signal } = options
  const client = new WIRES[wire].Client(tls)
  const intervalMs = 1_000 / rate
  let due = performance.now() + random.next() * intervalMs
  while (!signal.aborted) {
    const waitMs = due - performance.now()
    if (waitMs > 0) await pause(waitMs, signal)
    if (signal.aborted) break
    // Exponential intervals: requests come in groups, as from many independent clients.
    due = Math.max(due, performance.now() - BEHIND_MS_MAX) - Math.log(1 - random.next()) * intervalMs
    const targets = options.targets()
    const target = options.stays ? targets[id % targets.length] : random.pick(targets)
    if (target === undefined) continue
    const request = workload.next()
    const end =
      request.f === 'txn'
        ? await transact(options, client, target, request)
        : await performRecorded(options, client, target, request)
    // After a failed connection, the client waits before its next operation.
    if (end.kind === 'fail' && end.unreachable) due = Math.max(due, performance.now() + UNREACHABLE_PAUSE_MS)
  }
  client.close()
}

async function performRecorded(
  { id, recorder, workload, report }: LoadClientOptions,
  client: WireClient,
  target: NodeAddress,
  op: Exclude<WorkloadRequest, StoreTransaction>,
): Promise<RequestEnd> {
  const operation = recorder.invoke(id, target.name, op)
  const end = await client.perform(target.port, op, OPERATION_MS_MAX)
  recorder.end(operation, end)
  reportWrong(report, `operation ${operation} (${op.f})`, end)
  workload.ended(op, end)
  return end
}

/** Returns the end of its first operation. */
async function transact(
  { id, recorder, workload, report }: LoadClientOptions,
  client: WireClient,
  target: NodeAddress,
  txn: StoreTransaction,
): Promise<RequestEnd> {
  const ended = recordTransaction(recorder, id, target.name, txn)
  const ends = await client.transact(target.port, txn, OPERATION_MS_MAX)
  ended(ends)
  const [first] = ends
  if (first === undefined) throw new RangeError('a transaction has operations')
  reportWrong(report, `transaction ${txn.number}`, first)
  for (const [at, step] of txn.steps.entries()) workload.ended(step, ends[at] ?? first)
  return first
}

function reportWrong(report: LoadClientOptions['report'], what: string, end: RequestEnd): void {
  if (end.kind !== 'ok' && end.wrong !== undefined)
    report(`${what} got an answer that no server should give: ${end.wrong}`)
}
