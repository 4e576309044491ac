import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { createRelay, type Relay } from '../../../src/local/relays/relay.ts'
import type { ListenAddress } from '../../../src/server/options.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Listener {
  readonly address: ListenAddress
  /** The next connection that arrives. */
  accept(): Promise<Socket>
  close(): Promise<void>
}

async function listener(): Promise<Listener> {
  const arrived: Socket[] = []
  let wake = () => {}
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    closing.push(() => socket.destroy())
    arrived.push(socket)
    wake()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
    })
  closing.push(close)
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('not bound')
  return {
    address: { host: '127.0.0.1', port: bound.port },
    async accept() {
      for (;;) {
        const socket = arrived.shift()
        if (socket !== undefined) return socket
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    close,
  }
}

async function relayTo(target: () => ListenAddress | undefined): Promise<Relay> {
  const relay = await createRelay({ listen: { host: '127.0.0.1', port: 0 }, target })
  closing.push(() => relay.close())
  return relay
}

function dial(relay: Relay): Socket {
  const socket = connect({ ...relay.address, allowHalfOpen: true })
  socket.on('error', () => {})
  closing.push(() => socket.destroy())
  return socket
}

async function caller(relay: Relay): Promise<Socket> {
  const socket = dial(relay)
  await once(socket, 'connect')
  return socket
}

/** Reads exactly `count` bytes. */
async function read(socket: Socket, count: number): Promise<string> {
  for (;;) {
    const bytes: Buffer | null = socket.read(count)
    if (bytes !== null) return bytes.toString()
    await once(socket, 'readable')
  }
}

const failure = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    socket.resume()
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
    socket.once('close', () => resolve('closed'))
  })

/** Resolves when all bytes sent on loopback so far have arrived: another connection has made a round trip. */
async function settled(other: Relay, behind: Listener): Promise<void> {
  for (let round = 0; round < 3; round++) {
    const near = await caller(other)
    const far = await behind.accept()
    near.write('?')
    await read(far, 1)
    far.write('!')
    await read(near, 1)
    near.destroy()
  }
}

test('bytes pass both ways, and so does a half-close', async () => {
  const target = await listener()
  const near = await caller(await relayTo(() => target.address))
  const far = await target.accept()
  near.write('ping')
  expect(await read(far, 4)).toBe('ping')
  near.end()
  await once(far.resume(), 'end')
  far.end('pong')
  near.setEncoding('utf8')
  expect(await once(near, 'data')).toEqual(['pong'])
})

test('more than the buffers hold passes unchanged to a slow reader', async () => {
  const target = await listener()
  const [relay, other] = [await relayTo(() => target.address), await relayTo(() => target.address)]
  const near = await caller(relay)
  const far = await target.accept()
  const sent = Buffer.alloc(32 << 20, 'abcdefghijklm')
  near.end(sent)
  // The receiver does not read, so the relay takes no more than fits into its buffers.
  for (let round = 0; round < 10; round++) await settled(other, target)
  expect(near.writableLength).toBeGreaterThan(0)
  const got: Buffer[] = []
  for await (const chunk of far) got.push(chunk)
  expect(Buffer.concat(got).equals(sent)).toBe(true)
})

test('a reset passes at once', async () => {
  const target = await listener()
  const near = await caller(await relayTo(() => target.address))
  const far = await target.accept()
  far.resetAndDestroy()
  expect(await failure(near)).toBe('ECONNRESET')
})

test.each(['nobody listens', 'there is no target'])('where %s the caller is reset at once', async (why) => {
  const target = await listener()
  const { address } = target
  await target.close()
  const near = dial(await relayTo(() => (why === 'nobody listens' ? address : undefined)))
  expect(await failure(near)).toBe('ECONNRESET')
})

test('a black hole swallows bytes, closes and new connections until it is healed', async () => {
  const target = await listener()
  const cut = await relayTo(() => target.address)
  const other = await relayTo(() => target.address)
  const near = await caller(cut)
  const far = await target.accept()
  near.write('before')
  expect(await read(far, 6)).toBe('before')

  cut.setMode('blackhole')
  const seen: string[] = []
  far.on('data', (bytes) => seen.push(bytes.toString()))
  near.on('data', (bytes) => seen.push(bytes.toString()))
  far.write('to near')
  near.write('to far')
  near.end()
  const late = await caller(cut)
  late.write('late')
  await settled(other, target)
  expect(seen).toEqual([])

  cut.setMode('pass')
  await once(far, 'end')
  expect(seen.sort()).toEqual(['to far', 'to near'])
  expect(await read(await target.accept(), 4)).toBe('late')
})

test('a close in a black hole is told when that ends, also by a caller that never got through', async () => {
  const target = await listener()
  const cut = await relayTo(() => target.address)
  const other = await relayTo(() => target.address)
  const idle = await caller(cut)
  const far = await target.accept()
  idle.write('x')
  await read(far, 1)
  cut.setMode('blackhole')
  const seen: string[] = []
  far.on('end', () => seen.push('end')).resume()
  idle.end()
  const late = await caller(cut)
  late.end()
  await settled(other, target)
  expect(seen).toEqual([])
  cut.setMode('pass')
  await once(far, 'end')
  await once((await target.accept()).resume(), 'end')
})

test('a target that is gone when the black hole ends looks gone then', async () => {
  const target = await listener()
  const relay = await relayTo(() => target.address)
  relay.setMode('blackhole')
  const near = await caller(relay)
  await target.close()
  relay.setMode('pass')
  expect(await failure(near)).toBe('ECONNRESET')
})

test('reset ends both sides, even in a black hole, and what comes after hangs', async () => {
  const target = await listener()
  const relay = await relayTo(() => target.address)
  const near = await caller(relay)
  const far = await target.accept()
  relay.setMode('blackhole')
  relay.reset()
  expect(await Promise.all([failure(near), failure(far)])).toEqual(['ECONNRESET', 'ECONNRESET'])
  const again = await caller(relay)
  again.write('again')
  relay.setMode('pass')
  expect(await read(await target.accept(), 5)).toBe('again')
})

test('of the connections that hang in a black hole only the newest are kept', async () => {
  const target = await listener()
  const relay = await relayTo(() => target.address)
  relay.setMode('blackhole')
  const first = await caller(relay)
  const dropped = failure(first)
  for (let count = 0; count < 64; count++) await caller(relay)
  expect(await dropped).toBe('ECONNRESET')
})

test('a closed relay gives its port back', async () => {
  const target = await listener()
  const relay = await relayTo(() => target.address)
  const near = await caller(relay)
  const ended = failure(near)
  await relay.close()
  expect(await ended).toBe('ECONNRESET')
  const again = await createRelay({ listen: relay.address, target: () => undefined })
  await again.close()
})

test('what has passed is counted, both ways', async () => {
  const target = await listener()
  const relay = await relayTo(() => target.address)
  const near = await caller(relay)
  const far = await target.accept()
  expect(relay.passedBytes).toBe(0)
  near.write('ping')
  await read(far, 4)
  far.write('answer')
  await read(near, 6)
  expect(relay.passedBytes).toBe(10)
})

test('where its port is taken there is no relay', async () => {
  const { address } = await relayTo(() => undefined)
  const second = createRelay({ listen: address, target: () => undefined })
  await expect(second).rejects.toThrow('EADDRINUSE')
})

test('sixty-four may hang in a black hole beside those that have passed', async () => {
  const target = await listener()
  const relay = await relayTo(() => target.address)
  const near = await caller(relay)
  const far = await target.accept()
  relay.setMode('blackhole')
  for (let count = 0; count < 64; count++) await caller(relay)
  relay.setMode('pass')
  near.write('!')
  expect(await read(far, 1)).toBe('!')
  for (let count = 0; count < 64; count++) await target.accept()
})
