// Reads of many keys take turns. Each has open scans, of which a node has few, and etcd refuses none for want of them.
// A range that is read while its client takes it has another turn, a turn of streams, so that no other read waits for
// slow clients.

import { ETCD_ERRORS, type GrpcError } from '../../etcd/status.ts'
import type { Api } from '../api/api.ts'
import { CANCELLED } from './errors.ts'

/** The most scans of one read: values, their metadata, and a count or what was before. */
const SCANS_MAX = 3
/** Reads that wait for their turn. */
const WAITING_MAX = 10_000
/** Longest wait for a turn: several times that after which a client that takes nothing of its answer loses its own. */
const WAIT_MS_MAX = 60_000

/** A call that reads. */
interface ReadingCall {
  /** Its client waits no longer, on the clock of `performance.now()`. */
  readonly endsAt: number
  /** The deadline of an operation that begins now. */
  nextDeadline(): number
  readonly etcd: { readonly readTurns: ReadTurns }
  /** Calls `run` when nobody waits for the answer any more, until the returned function is called. */
  whenOver(run: () => void): () => void
}

/** A call that holds memory. */
interface HoldingCall {
  giveBack(bytes: number): void
}

/** The turns of one node. */
export class ReadTurns {
  readonly #waiting = new Set<() => void>()
  #free: number

  /** `turns`: how many reads have theirs at the same time. */
  constructor(turns: number) {
    this.#free = turns
  }

  /** Reads in the order of the calls. Rejects with `GrpcError` when the client waits no longer. */
  async read<T>(call: ReadingCall, read: (deadline: number) => Promise<T>): Promise<T> {
    const leave = await this.enter(call)
    try {
      return await read(call.nextDeadline())
    } finally {
      leave()
    }
  }

  /** Begins a turn if one is free, which lasts until the returned function is called first. */
  tryEnter(): (() => void) | undefined {
    if (this.#free === 0) return undefined
    this.#free--
    return this.#leaving()
  }

  /** Resolves when it is the turn of the call, which lasts until the returned function is called first. */
  async enter(call: ReadingCall): Promise<() => void> {
    const leave = this.tryEnter()
    if (leave !== undefined) return leave
    await this.#turn(call)
    return this.#leaving()
  }

  #leaving(): () => void {
    let isOver = false
    return () => {
      if (!isOver) this.#release()
      isOver = true
    }
  }

  async #turn(call: ReadingCall): Promise<void> {
    if (this.#waiting.size >= WAITING_MAX) throw ETCD_ERRORS.tooManyRequests
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.add(resolve)
    const leave = (error: GrpcError): void => {
      this.#waiting.delete(resolve)
      reject(error)
    }
    const waitMs = Math.min(WAIT_MS_MAX, call.endsAt - performance.now())
    const timer = setTimeout(() => leave(ETCD_ERRORS.timeout), Math.max(0, waitMs))
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

/** The error of a read that needs a turn while others have all of them. */
export class NoTurnError extends Error {}

/** A turn that a read begins when it learns that it needs one. */
export class LaterTurn {
  readonly #turns: ReadTurns
  #leave: (() => void) | undefined

  constructor(turns: ReadTurns) {
    this.#turns = turns
  }

  get hasBegun(): boolean {
    return this.#leave !== undefined
  }

  /** Throws `NoTurnError` when it cannot begin now. Then the call does not hold these bytes any more. */
  begin(call: HoldingCall, heldBytes: number): void {
    this.#leave ??= this.#turns.tryEnter()
    if (this.#leave !== undefined) return
    call.giveBack(heldBytes)
    throw new NoTurnError()
  }

  /** Resolves when it has begun. */
  async enter(call: ReadingCall): Promise<void> {
    this.#leave = await this.#turns.enter(call)
  }

  leave(): void {
    this.#leave?.()
    this.#leave = undefined
  }
}

/**
 * Calls `read`, which begins the turn if it needs it. When others have all turns, this waits, and reads once more with
 * one: who waits for it has no turn of reads. The turn lasts until `read` rejects, or the reader leaves it.
 */
export async function readWithLaterTurn<T>(
  turns: ReadTurns,
  call: ReadingCall,
  read: (turn: LaterTurn) => Promise<T>,
): Promise<T> {
  const turn = new LaterTurn(turns)
  try {
    return await read(turn)
  } catch (error) {
    turn.leave()
    if (!(error instanceof NoTurnError)) throw error
  }
  await turn.enter(call)
  try {
    return await read(turn)
  } catch (error) {
    turn.leave()
    throw error
  }
}

/** How many reads and how many streams a node has at the same time. */
export function turnsOf({ limits }: Api): { readonly reads: number; readonly streams: number } {
  const all = Math.floor(limits.rangesMax / SCANS_MAX)
  const streams = Math.max(1, Math.floor(all / 2))
  return { reads: Math.max(1, all - streams), streams }
}

/** Calls `read` when it is the turn of the call, with the deadline by which the read must be permitted. */
export const readInTurn = <T>(call: ReadingCall, read: (deadline: number) => Promise<T>): Promise<T> =>
  call.etcd.readTurns.read(call, read)
