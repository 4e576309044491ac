// Reads of many keys take turns. Each has open scans, of which a node has few, and etcd refuses none for want of them.

import { ETCD_ERRORS, type GrpcError } from '../../etcd/status.ts'
import type { Api } from '../api/api.ts'
import { CANCELLED } from './errors.ts'

/** The most scans of one read: values, their metadata, and a count or what was before. */
const SCANS_MAX = 3
/** Reads that wait for their turn. */
const WAITING_MAX = 10_000

/** A call that reads. */
interface ReadingCall {
  readonly deadline: number
  readonly etcd: { readonly readTurns: ReadTurns }
  /** Calls `run` when nobody waits for the answer any more, until the returned function is called. */
  whenOver(run: () => void): () => void
}

/** The turns of one node. */
export class ReadTurns {
  readonly #waiting = new Set<() => void>()
  #free: number

  constructor({ limits }: Api) {
    this.#free = Math.max(1, Math.floor(limits.rangesMax / SCANS_MAX))
  }

  /** Reads in the order of the calls. Rejects with `GrpcError` when the deadline comes first. */
  async read<T>(call: ReadingCall, deadline: number, read: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await this.#turn(call, deadline)
    try {
      return await read()
    } finally {
      this.#release()
    }
  }

  async #turn(call: ReadingCall, deadline: number): Promise<void> {
    if (this.#waiting.size >= WAITING_MAX) throw ETCD_ERRORS.tooManyRequests
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.add(resolve)
    const leave = (error: GrpcError): void => {
      this.#waiting.delete(resolve)
      reject(error)
    }
    const timer = setTimeout(() => leave(ETCD_ERRORS.timeout), Math.max(0, deadline - performance.now()))
    const forget = call.whenOver(() => leave(CANCELLED))
    try {
      await promise
    } finally {
      clearTimeout(timer)
      forget()
    }
  }

  #release(): void {
    const [next] = this.#waiting
    if (next === undefined) this.#free++
    else {
      this.#waiting.delete(next)
      next()
    }
  }
}

/** Calls `read` when it is the turn of the call. `deadline`: that of a read of a stream, which itself has none. */
export const readInTurn = <T>(
  call: ReadingCall,
  read: () => Promise<T>,
  deadline = call.deadline,
): Promise<T> => call.etcd.readTurns.read(call, deadline, read)
