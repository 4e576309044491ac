// A hop between two nodes that spoils what passes. It knows how frames are cut (src/server/tcp/frames.ts), and so can
// lose, double, reorder and replay whole ones, as a datagram network would; or it touches bytes: flips, slices, delays,
// throttles. Both directions of a connection suffer alike.
//
// Whole frames are spoiled from the second of each direction on: the first is the handshake, and a connection that
// never comes to stand is what partitions are for. Bytes are spoiled from the first one.

import { connect, createServer, type Server, type Socket } from 'node:net'
import type { ListenAddress } from '../../src/server/types.ts'
import type { Random } from './random.ts'

export const MANGLINGS = [
  'drop',
  'double',
  'reorder',
  'replay',
  'corrupt',
  'slice',
  'delay',
  'throttle',
] as const
export type Mangling = (typeof MANGLINGS)[number]

/** How much is spoiled; each kind reads what concerns it. */
export interface Measure {
  /** Of frames (drop, double, reorder, replay) or of chunks (corrupt). */
  readonly probability: number
  /** delay: at least and at most. */
  readonly delayMs: readonly [number, number]
  /** throttle. */
  readonly bytesPerSecond: number
}

export interface Mangler {
  readonly address: ListenAddress
  /** Frames or chunks that were spoiled so far. */
  readonly spoiled: number
  close(): Promise<void>
}

/** A frame that is held back to be overtaken leaves after this long at the latest. */
const HELD_MS_MAX = 60
/** Old frames kept to be replayed, of all connections of a link. */
const KEPT_FRAMES = 200
const SLICE_BYTES_MAX = 7
const PREFIX_BYTES = 8

export async function createMangler(
  kind: Mangling,
  measure: Measure,
  random: Random,
  target: () => ListenAddress | undefined,
): Promise<Mangler> {
  const state: State = { kind, measure, random, timers: new Set(), spoiled: 0 }
  const kept: Kept = { there: [], back: [] }
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (caller) => {
    const address = target()
    if (address === undefined) {
      caller.on('error', () => {})
      caller.resetAndDestroy()
      return
    }
    const callee = connect({ ...address, allowHalfOpen: true, noDelay: true })
    const close = (): void => {
      caller.destroy()
      callee.destroy()
    }
    for (const socket of [caller, callee]) {
      sockets.add(socket)
      socket.on('error', close)
      socket.on('close', () => {
        sockets.delete(socket)
        close()
      })
    }
    lead(caller, callee, state, kept.there)
    lead(callee, caller, state, kept.back)
  })
  return {
    address: await listening(server),
    get spoiled() {
      return state.spoiled
    },
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      for (const timer of state.timers) clearTimeout(timer)
      return closed
    },
  }
}

/** Frames of all connections of the link, by direction: a peer takes no frame from the wrong one. */
interface Kept {
  readonly there: Buffer[]
  readonly back: Buffer[]
}

interface State {
  readonly kind: Mangling
  readonly measure: Measure
  readonly random: Random
  readonly timers: Set<NodeJS.Timeout>
  spoiled: number
}

/** What is done to the bytes of one direction. */
type Stage = (chunk: Buffer) => void

function lead(from: Socket, to: Socket, state: State, kept: Buffer[]): void {
  const send = (bytes: Buffer): void => {
    if (to.destroyed) return
    if (!to.write(bytes)) from.pause()
  }
  to.on('drain', () => from.resume())
  const stage = stageOf(state, send, from, kept)
  from.on('data', stage)
  from.on('end', () => to.end())
}

function stageOf(state: State, send: Stage, from: Socket, kept: Buffer[]): Stage {
  const { kind, random, measure } = state
  switch (kind) {
    case 'drop':
      return frameWise(state, send, () => {})
    case 'double':
      return frameWise(state, send, (frame) => {
        send(frame)
        send(frame)
      })
    case 'replay':
      return frameWise(state, send, (frame) => {
        if (kept.length > 0) send(random.pick(kept))
        send(frame)
        kept.push(frame)
        if (kept.length > KEPT_FRAMES) kept.splice(random.below(kept.length), 1)
      })
    case 'reorder':
      return frameWise(state, send, (frame) => {
        later(state, random.between(0, HELD_MS_MAX), () => send(frame))
      })
    case 'corrupt':
      return (chunk) => {
        const copy = Buffer.from(chunk)
        if (random.chance(measure.probability)) {
          const at = random.below(copy.length)
          copy.writeUInt8(copy.readUInt8(at) ^ (1 << random.below(8)), at)
          state.spoiled++
        }
        send(copy)
      }
    case 'slice':
      return slice(state, send, from)
    case 'delay':
      return inOrderAfter(state, send, from, () => random.between(...measure.delayMs))
    case 'throttle':
      return inOrderAfter(state, send, from, (bytes) => (bytes / measure.bytesPerSecond) * 1_000)
  }
}

/** Cuts the stream into frames; some are `spoil`ed, the others and the first are sent. */
function frameWise(state: State, send: Stage, spoil: Stage): Stage {
  const { measure, random } = state
  let rest: Buffer = Buffer.alloc(0)
  let isFirst = true
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    while (rest.length >= PREFIX_BYTES) {
      const bytes = PREFIX_BYTES + rest.readUInt32BE(0)
      if (rest.length < bytes) return
      const frame = Buffer.from(rest.subarray(0, bytes))
      rest = rest.subarray(bytes)
      if (isFirst || !random.chance(measure.probability)) send(frame)
      else {
        state.spoiled++
        spoil(frame)
      }
      isFirst = false
    }
  }
}

/** Never more than a few bytes at once, each in a turn of its own, so that the receiver sees every frame in pieces. */
function slice(state: State, send: Stage, from: Socket): Stage {
  const { random } = state
  const waiting: Buffer[] = []
  const next = (): void => {
    const chunk = waiting[0]
    if (chunk === undefined || from.destroyed) return
    const bytes = Math.min(chunk.length, 1 + random.below(SLICE_BYTES_MAX))
    send(chunk.subarray(0, bytes))
    state.spoiled++
    if (bytes === chunk.length) waiting.shift()
    else waiting[0] = chunk.subarray(bytes)
    setImmediate(next)
  }
  return (chunk) => {
    waiting.push(chunk)
    if (waiting.length === 1) setImmediate(next)
  }
}

/**
 * Each chunk is sent so much later than it came or than the one before was sent. What waits holds up the sender, as a
 * full pipe does.
 */
function inOrderAfter(state: State, send: Stage, from: Socket, delayMs: (bytes: number) => number): Stage {
  const isThrottle = state.kind === 'throttle'
  /** Timers of nearly the same moment may fire in another order than they were set: each sends whatever came first. */
  const waiting: Buffer[] = []
  let freeAt = 0
  let waitingBytes = 0
  return (chunk) => {
    const now = performance.now()
    const start = isThrottle ? Math.max(now, freeAt) : now
    const at = Math.max(freeAt, start + delayMs(chunk.length))
    freeAt = at
    waiting.push(chunk)
    waitingBytes += chunk.length
    if (isThrottle && waitingBytes > state.measure.bytesPerSecond) from.pause()
    later(state, at - now, () => {
      const first = waiting.shift()
      if (first === undefined) return
      waitingBytes -= first.length
      state.spoiled++
      send(first)
      from.resume()
    })
  }
}

function later({ timers }: State, ms: number, run: () => void): void {
  const timer = setTimeout(() => {
    timers.delete(timer)
    run()
  }, ms)
  timers.add(timer)
}

async function listening(server: Server): Promise<ListenAddress> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('not bound to a port')
  return { host: bound.address, port: bound.port }
}
