// The clients: each sends one operation at a time, at its own pace, to a node of its choice or always to the same one,
// and writes down what it asked and what it was told. None tries anything again.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Recorder } from '../history.ts'
import { HttpClient } from './http.ts'
import { perform } from './perform.ts'
import type { Random } from './random.ts'
import type { Workload } from './workloads.ts'

/** The deadline that a request carries. */
export const OPERATION_MS_MAX = 2_000
/** A client that falls further behind its pace than this does not catch up: it would come in a burst. */
const BEHIND_MS_MAX = 500

const UNREACHABLE_PAUSE_MS = 100

export interface Target {
  readonly name: string
  readonly port: number
}

export interface ClientOptions {
  readonly id: number
  /** Operations a second of this client. */
  readonly rate: number
  readonly workload: Workload
  readonly random: Random
  readonly recorder: Recorder
  /** Whom it may ask now; never empty. */
  readonly targets: () => readonly Target[]
  /**
   * Half of the clients stay with one node, also when it is cut off or deposed: that is where stale answers would come
   * from.
   */
  readonly stays: boolean
  readonly signal: AbortSignal
  /** An answer that no server should give to what was asked. */
  readonly report: (message: string) => void
}

/** Resolves when `signal` says so and the operation under way has ended. */
export async function runClient(options: ClientOptions): Promise<void> {
  const { id, rate, workload, random, recorder, signal } = options
  const http = new HttpClient()
  const intervalMs = 1_000 / rate
  let due = performance.now() + random.next() * intervalMs
  while (!signal.aborted) {
    const waitMs = due - performance.now()
    if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => {})
    if (signal.aborted) break
    // Exponential gaps: requests come in clusters, as from many independent clients.
    due = Math.max(due, performance.now() - BEHIND_MS_MAX) - Math.log(1 - random.next()) * intervalMs
    const targets = options.targets()
    const target = options.stays ? targets[id % targets.length] : random.pick(targets)
    if (target === undefined) continue
    const op = workload.next()
    const operation = recorder.invoke(id, target.name, op)
    const end = await perform(http, target.port, op, OPERATION_MS_MAX)
    if (end.kind === 'ok') recorder.ok(operation, end.result)
    else if (end.kind === 'fail') recorder.fail(operation, end.why)
    else recorder.unknown(operation, end.why)
    if (end.kind !== 'ok' && end.wrong !== undefined)
      options.report(`operation ${operation} (${op.f}) was answered as nobody may be: ${end.wrong}`)
    workload.ended(op, end)
    // Whoever finds nobody there does not ask again at once.
    if (end.kind === 'fail' && end.unreachable) due = Math.max(due, performance.now() + UNREACHABLE_PAUSE_MS)
  }
  http.close()
}
