// Watches: how they begin, how many bytes may wait for their clients, and the error that ends them.

import { readableFrom, watchFloor } from '../../kv/index.ts'
import { ApiError, asRevision, type Revision } from '../../operations/forms/index.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { PermittedWatch, WatchEnd, WatchHandle, WatchSink } from '../node/watch/index.ts'
import { errorOfNode } from './errors.ts'
import type { ApiLimits } from './limits.ts'

/**
 * A watch of etcd begins without a majority if the state of the node is at most so old, in milliseconds, and if it
 * names its first revision. A client opens one watch after the other, perhaps thousands.
 */
export const WATCH_STALENESS_MAX_MS = 1_000

/**
 * Begins a watch within the callback of a read. After a linearizable one, the revision of the store includes all
 * changes that were answered before the request. Throws `ApiError`.
 */
export function beginWatch(node: KvNode, request: PermittedWatch, sink: WatchSink): WatchHandle {
  const begun = node.watch(request, sink)
  if (!begun.ok) {
    request.closed?.()
    throw errorOfNode(begun.problem)
  }
  const { from } = begun.value
  const floor = watchFloor(node.history)
  if (from > floor) return begun.value
  begun.value.cancel()
  throw compacted(from, readableFrom(node.history), asRevision(floor + 1))
}

/** The error that a client receives at the end of a watch. */
export function errorOfWatch(end: WatchEnd): ApiError {
  const { resumeFrom } = end
  if (end.kind === 'compacted') return compacted(end.next, end.compactRevision, resumeFrom)
  if (end.kind === 'no-right')
    return new ApiError('permission_denied', 'the right to read these keys has ended', {
      members: { resume_from: resumeFrom },
    })
  if (end.kind === 'no-user')
    return new ApiError('unauthenticated', 'the user or the password was changed: log in again', {
      members: { resume_from: resumeFrom },
    })
  const resume = { resume_from: resumeFrom }
  if (end.kind === 'too-large')
    // For the client it is the same as if the events were compacted.
    return new ApiError(
      'compacted',
      `the events of revision ${end.next} are too large for one message (${end.bytes} bytes of keys, at most ${end.bytesMax}): ` +
        'read the keys, and watch from the revision after that read; or watch fewer keys',
      { members: { compact_revision: end.next, ...resume } },
    )
  return new ApiError(
    end.kind === 'no-leader' ? 'no_leader' : 'not_ready',
    `${end.reason}: watch from revision ${resumeFrom} on, on another node`,
    { members: resume },
  )
}

const compacted = (next: Revision, compactRevision: Revision, resumeFrom: Revision): ApiError =>
  new ApiError(
    'compacted',
    `the events of revision ${next} are compacted: read the keys, and watch from the revision after that read. ` +
      `Events are kept from revision ${resumeFrom} on`,
    { members: { compact_revision: compactRevision, resume_from: resumeFrom } },
  )

/** A client with watches that wait. */
interface WaitingClient {
  /** There is room for it again. */
  resume(): void
}

/** The messages of watches that wait for one client. A watch waits too while they are too many. */
export class WatchBuffer implements WaitingClient {
  readonly #all: WatchBuffers
  /** Bytes that are ready, or that the kernel has not taken yet. */
  #bytes = 0
  /** Watches that wait until the client has taken enough. */
  #waiting: WaitingWatch[] = []

  constructor(all: WatchBuffers) {
    this.#all = all
  }

  /** Whether the client must first take what waits for it. `least` bytes may always wait. */
  isFull(least = 0): boolean {
    return this.#all.isFull(this.#bytes, least)
  }

  get takesProgressOnly(): boolean {
    return this.#all.takesProgressOnly
  }

  /** A message of so many bytes is ready. */
  add(bytes: number): void {
    this.#bytes += bytes
    this.#all.add(bytes)
  }

  /** The kernel has taken so many bytes. */
  remove(bytes: number): void {
    this.#bytes -= bytes
    this.#all.remove(bytes)
  }

  /** The watch waits until there is room. */
  wait(watch: WaitingWatch): void {
    this.#waiting.push(watch)
    // Nothing will be taken that would resume it.
    if (this.#bytes === 0) this.#all.wait(this)
  }

  /** Resumes the watches that wait, once the client has taken half of the buffer. */
  resume(): void {
    if (this.#waiting.length === 0 || !this.#all.isHalfTaken(this.#bytes)) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const watch of waiting) watch.drained()
  }

  /** The client is gone. */
  close(): void {
    this.#waiting = []
    this.#all.forget(this)
    this.remove(this.#bytes)
  }
}

interface WaitingWatch {
  /** It may continue. */
  drained(): void
}

/**
 * Bytes that wait for clients of watches, all clients together. From half of the limit on, only clients receive events
 * for which nothing waits. At the limit they wait too. Then, for each message that is taken, the one that has waited
 * longest continues: slow clients may keep half of the limit for ever. Below half of it, all continue. Their watches
 * read history.
 */
export class WatchBuffers {
  readonly #limits: ApiLimits
  #bytes = 0
  /** Clients for which nothing waits, and that have found no room. */
  #waiting = new Set<WaitingClient>()

  constructor(limits: ApiLimits) {
    this.#limits = limits
  }

  get bytes(): number {
    return this.#bytes
  }

  add(bytes: number): void {
    this.#bytes += bytes
  }

  remove(bytes: number): void {
    this.#bytes -= bytes
    if (this.#waiting.size === 0 || this.takesProgressOnly) return
    if (this.#isHalfFull) {
      const [longest] = this.#waiting
      if (longest === undefined) return
      this.#waiting.delete(longest)
      longest.resume()
      return
    }
    const waiting = this.#waiting
    this.#waiting = new Set()
    for (const client of waiting) client.resume()
  }

  /** Whether a client must first take the `own` bytes that wait for it. `least` bytes may always wait. */
  isFull(own: number, least = 0): boolean {
    return own >= this.#limits.watchBufferBytesMax || (own > least && this.#isHalfFull)
  }

  /** Whether so few of its own bytes wait for a client that its watches continue. */
  isHalfTaken(own: number): boolean {
    return own <= this.#limits.watchBufferBytesMax / 2
  }

  /** Whether all clients must wait for events. Progress is small. */
  get takesProgressOnly(): boolean {
    return this.#bytes >= this.#limits.watchBuffersBytesMax
  }

  /** Resumes the client once when there is room for it. */
  wait(client: WaitingClient): void {
    this.#waiting.add(client)
  }

  /** The client is gone. */
  forget(client: WaitingClient): void {
    this.#waiting.delete(client)
  }

  get #isHalfFull(): boolean {
    return this.#bytes >= this.#limits.watchBuffersBytesMax / 2
  }
}
