// Each fault of the network does to real frames on a real socket what its name says, and nothing else.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { crc32 } from 'node:zlib'
import { afterEach, expect, test } from 'vitest'
import {
  createFrameFaultProxy,
  type FrameFault,
  type Measure,
} from '../../../jepsen-lite/local/frame-fault-proxy.ts'
import { Random } from '../../../jepsen-lite/workload/random.ts'
import { FrameReader } from '../../../src/server/peers/tcp/frames.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const MILD: Measure = { probability: 0.5, delayMs: [0, 0], bytesPerSecond: 1_000_000 }

/** As src/server/peers/tcp/frames.ts writes them: group 0, a type, a number as the body. */
function frame(number: number): Buffer {
  const body = Buffer.alloc(9)
  body.writeUInt8(1, 4)
  body.writeUInt32BE(number, 5)
  const prefix = Buffer.alloc(8)
  prefix.writeUInt32BE(body.length, 0)
  prefix.writeUInt32BE(crc32(body), 4)
  return Buffer.concat([prefix, body])
}

/** Sends frames 0 … count-1 through a mangler, closes, and takes down what arrives. */
async function through(kind: FrameFault, measure: Partial<Measure>, count: number) {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closing.push(() => server.close())
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('not bound')
  const target = { host: '127.0.0.1', port: bound.port }
  const mangler = await createFrameFaultProxy(kind, { ...MILD, ...measure }, new Random(1), () => target)
  closing.push(() => mangler.close())
  const caller = connect(mangler.address)
  closing.push(() => caller.destroy())
  const [callee] = (await once(server, 'connection')) as [Socket]
  closing.push(() => callee.destroy())
  const chunks: Buffer[] = []
  callee.on('data', (chunk) => chunks.push(chunk))
  for (let number = 0; number < count; number++) caller.write(frame(number))
  const enough = async (bytes: number): Promise<void> => {
    while (Buffer.concat(chunks).length < bytes) await once(callee, 'data')
  }
  return { mangler, caller, enough, chunks, arrived: () => framesIn(Buffer.concat(chunks)) }
}

/** Numbers of the whole frames, up to one that cannot be read. */
function framesIn(bytes: Buffer): (number | 'corrupt')[] {
  const reader = new FrameReader(1_000)
  reader.push(bytes)
  const numbers: (number | 'corrupt')[] = []
  try {
    for (let next = reader.next(); next !== undefined; next = reader.next()) numbers.push(next.body.uint32())
  } catch {
    numbers.push('corrupt')
  }
  return numbers
}

const FRAME_BYTES = frame(0).length
const upTo = (count: number): number[] => Array.from({ length: count }, (_, number) => number)

test('drop loses whole frames, never the first, and leaves the order', async () => {
  const { mangler, caller, arrived, chunks } = await through('drop', {}, 200)
  caller.end()
  while (mangler.spoiled + Buffer.concat(chunks).length / FRAME_BYTES < 200) await new Promise(setImmediate)
  const numbers = arrived()
  expect(numbers[0]).toBe(0)
  expect(numbers.length + mangler.spoiled).toBe(200)
  expect(mangler.spoiled).toBeGreaterThan(50)
  expect(numbers).toEqual([...numbers].sort((a, b) => Number(a) - Number(b)))
})

test('double delivers frames twice, one right after the other', async () => {
  const { mangler, enough, arrived } = await through('double', { probability: 1 }, 5)
  await enough(9 * FRAME_BYTES)
  expect(arrived()).toEqual([0, 1, 1, 2, 2, 3, 3, 4, 4])
  expect(mangler.spoiled).toBe(4)
})

test('reorder delivers every frame once, in another order', async () => {
  const { enough, arrived } = await through('reorder', {}, 100)
  await enough(100 * FRAME_BYTES)
  const numbers = arrived()
  expect(numbers).not.toEqual(upTo(100))
  expect([...numbers].sort((a, b) => Number(a) - Number(b))).toEqual(upTo(100))
})

test('replay delivers every frame in order, and old ones in between', async () => {
  const { mangler, enough, arrived } = await through('replay', {}, 100)
  await enough(120 * FRAME_BYTES)
  const firsts = arrived().filter((number, at, all) => all.indexOf(number) === at)
  expect(firsts).toEqual(upTo(firsts.length))
  expect(arrived().length).toBeGreaterThan(firsts.length)
  expect(mangler.spoiled).toBeGreaterThan(20)
})

test('corrupt changes bits, which the reader of frames notices, and no lengths', async () => {
  const { mangler, enough, arrived, chunks } = await through('corrupt', { probability: 1 }, 50)
  await enough(50 * FRAME_BYTES)
  const sent = Buffer.concat(upTo(50).map(frame))
  const got = Buffer.concat(chunks)
  const wrong = [...got].filter((byte, at) => byte !== sent[at]).length
  expect(got.length).toBe(sent.length)
  expect(wrong).toBe(mangler.spoiled)
  expect(wrong).toBeGreaterThan(0)
  expect(arrived().at(-1)).toBe('corrupt')
})

test.each([
  ['slice', {}],
  ['delay', { delayMs: [1, 30] }],
  ['throttle', { bytesPerSecond: 20_000 }],
] as const)('%s delivers everything, in order', async (kind, measure) => {
  const { mangler, enough, arrived } = await through(kind, measure, 50)
  await enough(50 * FRAME_BYTES)
  expect(arrived()).toEqual(upTo(50))
  expect(mangler.spoiled).toBeGreaterThan(0)
})
