// A hop between two nodes that damages or delays what passes. It knows the format of frames
// (src/server/peers/tcp/frames.ts), so it can drop, double, reorder and replay whole frames, as a datagram network
// does. Or it works on bytes: it flips bits, and slices, delays or throttles the stream. Both directions of a
// connection have the same fault.
//
// The first frame of each direction is the handshake. It is never dropped, doubled, reordered or replayed: partitions
// are there to prevent connections. Faults on bytes begin with the first byte.

import { connect, createServer, type Server, type Socket } from 'node:net'
import type { ListenAddress } from '../../src/server/node/types.ts'
import type { Random } from '../workload/random.ts'

export const FRAME_FAULTS = [
  'drop',
  'double',
  'reorder',
  'replay',
  'corrupt',
  'slice',
  'delay',
  'throttle',
] as const
export type FrameFault = (typeof FRAME_FAULTS)[number]

/** How much is changed; each kind uses only its own fields. */
export interface Measure {
  /** The part of the frames (drop, double, reorder, replay) or of the chunks (corrupt). */
  readonly probability: number
  /** delay: minimum and maximum. */
  readonly delayMs: readonly [number, number]
  /** throttle: the speed. */
  readonly bytesPerSecond: number
}

export interface FrameFaultProxy {
  readonly address: ListenAddress
  /** The number of frames or chunks that were changed or delayed so far. */
  readonly spoiled: number
  close(): Promise<void>
}

/** reorder: a frame is held back for at most this long. */
const HELD_MS_MAX = 60
/** replay: the number of old frames that are kept, for all connections of a link in one direction. */
const KEPT_FRAMES = 200
const SLICE_BYTES_MAX = 7
const PREFIX_BYTES = 8

export async function createFrameFaultProxy(
  kind: FrameFault,
  measure: Measure,
  random: Random,
  target: () => ListenAddress | undefined,
): Promise<FrameFaultProxy> {
  const state: State = { kind, measure, random, timers: new Set(), spoiled: 0 }
  const kept: OldFrames = { there: [], back: [] }
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

/** Old frames of all connections of the link, by direction: a frame is replayed only in its own direction. */
interface OldFrames {
  readonly there: Buffer[]
  readonly back: Buffer[]
}

interface State {
  readonly kind: FrameFault
  readonly measure: Measure
  readonly random: Random
  readonly timers: Set<NodeJS.Timeout>
  spoiled: number
}

/** The faults of one direction. */
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

/** Cuts the stream into frames. Some are given to `spoil`; all others, and always the first, are sent. */
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

/** Sends a few bytes in each turn of the event loop, so that the receiver gets every frame in pieces. */
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
 * delay: each chunk is sent `delayMs` after it came, but not before earlier chunks. throttle: each chunk is sent
 * `delayMs` after the one before, and the sender has to wait while too many bytes wait here.
 */
function inOrderAfter(state: State, send: Stage, from: Socket, delayMs: (bytes: number) => number): Stage {
  const isThrottle = state.kind === 'throttle'
  /** Timers for nearly the same time may fire in another order than they were set, so each sends the oldest chunk. */
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
