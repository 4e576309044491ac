// Networks over real loopback sockets with fake nodes behind them: every event is recorded and can be awaited.

import { connect, createServer, type Server, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { type Reader, Writer } from '../../../../src/bytes/index.ts'
import { createRelay, type Relay } from '../../../../src/local/relays/relay.ts'
import { asIndex, asReplicaId, asTerm, type Message, type RaftMember } from '../../../../src/raft/types.ts'
import type {
  ForwardedKeepAlive,
  Greeting,
  KeepAliveAnswer,
  NetworkEvents,
  ReportAnswer,
  ReportRequest,
  StateHashAt,
} from '../../../../src/server/node/network.ts'
import type { Logger } from '../../../../src/server/options.ts'
import type { LinkLimits, Links } from '../../../../src/server/peers/index.ts'
import { FrameReader, FrameWriter } from '../../../../src/server/peers/tcp/frames.ts'
import { createTcpNetwork } from '../../../../src/server/peers/tcp/index.ts'
import { frameCode, readFrame, writeFrame } from '../../../../src/server/peers/tcp/link-codec.ts'
import type { Frame, Hello, LinkFrame } from '../../../../src/server/peers/wires.ts'
import type { TlsFiles } from '../../../../src/server/tls/tls-files.ts'

export type Event =
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'hash'; readonly from: string; readonly at: StateHashAt }
  | { readonly kind: 'asked'; readonly from: string; readonly question: ForwardedKeepAlive }
  | { readonly kind: 'answered'; readonly from: string; readonly answer: KeepAliveAnswer }
  | { readonly kind: 'report requested'; readonly from: string; readonly request: ReportRequest }
  | { readonly kind: 'report answered'; readonly from: string; readonly answer: ReportAnswer }
  | { readonly kind: 'connected'; readonly greeting: Greeting }
  | { readonly kind: 'disconnected' | 'unreachable'; readonly what: string }
  | { readonly kind: 'stop'; readonly reason: string }
  | { readonly kind: 'received'; readonly from: string; readonly snapshotId: string }
  | { readonly kind: 'sent'; readonly to: string; readonly index: number; readonly ok: boolean }

export interface TestNode {
  readonly member: RaftMember
  readonly network: Links
  /** The bound host:port. */
  readonly address: string
  /** Resolves when its port is free again. */
  readonly closed: Promise<void>
  readonly events: Event[]
  /** The node's greeting; tests change it. */
  greeting: Greeting
  admit: NetworkEvents['admit']
  snapshotOffered: NetworkEvents['snapshotOffered']
  /** Waits for the next event that matches. Earlier events are skipped. */
  next<K extends Event['kind']>(
    kind: K,
    fits?: (event: Event & { kind: K }) => boolean,
  ): Promise<Event & { kind: K }>
  seen(kind: Event['kind']): number
}

export interface TestNodeOptions {
  readonly id?: number
  readonly clusterId?: string
  readonly boot?: number
  readonly port?: number
  readonly limits?: Partial<LinkLimits>
  readonly resolvePeer?: (member: RaftMember) => string
  readonly advertise?: string
  readonly tls?: TlsFiles
  readonly logger?: Logger
}

/** Runs at the end of the test: the newest first. */
export const atEnd = (close: () => unknown): void => {
  onTestFinished(async () => {
    await close()
  })
}

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** A node that listens. It replies to no caller before its first `setPeers`. */
export async function testNode(options: TestNodeOptions = {}): Promise<TestNode> {
  const id = asReplicaId(String(options.id ?? 1))
  const clusterId = options.clusterId ?? '77'
  const events: Event[] = []
  const waiters: (() => void)[] = []
  let taken = 0
  const add = (event: Event): void => {
    events.push(event)
    for (const wake of waiters.splice(0)) wake()
  }
  const { links, address, closed } = await createTcpNetwork({
    self: { replicaId: id, clusterId },
    listen: { host: '127.0.0.1', port: options.port ?? 0 },
    logger: options.logger ?? silent,
    tls: options.tls,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.resolvePeer === undefined ? {} : { resolvePeer: options.resolvePeer }),
    events: {
      greeting: () => made.greeting,
      admit: (greeting) => made.admit(greeting),
      message: (message) => add({ kind: 'message', message }),
      stateHash: (from, at) => add({ kind: 'hash', from, at }),
      keepAliveRequested: (from, question) => add({ kind: 'asked', from, question }),
      keepAliveAnswered: (from, answer) => add({ kind: 'answered', from, answer }),
      reportRequested: (from, request) => add({ kind: 'report requested', from, request }),
      reportAnswered: (from, answer) => add({ kind: 'report answered', from, answer }),
      tracesReceived() {},
      connected: (greeting) => add({ kind: 'connected', greeting }),
      disconnected: (what) => add({ kind: 'disconnected', what }),
      unreachable: (what) => add({ kind: 'unreachable', what }),
      stop: (reason) => add({ kind: 'stop', reason }),
      snapshotOffered: (...offer) => made.snapshotOffered(...offer),
      snapshotReceived: (from, _term, snapshotId) => add({ kind: 'received', from, snapshotId }),
      snapshotSent: (to, index, failure) => add({ kind: 'sent', to, index, ok: failure === undefined }),
    },
  })
  atEnd(async () => {
    links.close()
    await closed
  })
  const peer = options.advertise ?? address
  const made: TestNode = {
    member: { id, name: `n${id}`, peer, url: '' },
    network: links,
    address,
    closed,
    events,
    greeting: {
      clusterId,
      replicaId: id,
      name: `n${id}`,
      boot: options.boot ?? 1,
      term: asTerm(1),
      lastIndex: asIndex(0),
      clusterVersion: 1,
      peer,
    },
    admit: () => undefined,
    snapshotOffered: (_from, _term, _id, _meta, done) => done('no room', undefined),
    async next(kind, fits = () => true) {
      for (;;) {
        for (const event of events.slice(taken)) {
          taken++
          if (isOf(event, kind) && fits(event)) return event
        }
        await new Promise<void>((resolve) => waiters.push(resolve))
      }
    },
    seen: (kind) => events.filter((event) => event.kind === kind).length,
  }
  return made
}

const isOf = <K extends Event['kind']>(event: Event, kind: K): event is Event & { kind: K } =>
  event.kind === kind

/** Resolves when no work is in flight and all resources are released. */
export async function atRest(...nodes: readonly TestNode[]): Promise<void> {
  for (const { network } of nodes) {
    // Bytes on their way to the kernel take turns of the event loop. A resource that is never released runs into the
    // timeout of the test.
    while (Object.values(network.inspect()).some((value) => value !== 0)) await new Promise(setImmediate)
  }
}

/** Two nodes that know each other, connected. */
export async function pair(a: TestNodeOptions = {}, b: TestNodeOptions = {}): Promise<[TestNode, TestNode]> {
  const nodes: [TestNode, TestNode] = [await testNode({ id: 1, ...a }), await testNode({ id: 2, ...b })]
  introduce(...nodes)
  await Promise.all(nodes.map((each) => each.next('connected')))
  return nodes
}

export function introduce(...nodes: readonly TestNode[]): void {
  const members = nodes.map((each) => each.member)
  for (const each of nodes) each.network.setPeers(members)
}

/** The bytes of a frame. */
export function frame(type: number, write: (out: Writer) => void = () => {}): Buffer {
  const out = new Writer()
  write(out)
  const writer = new FrameWriter()
  writer.append(type, out.written(), [], false)
  return Buffer.concat(writer.takePieces())
}

/** The bytes of a link's frame. */
export const said = (what: LinkFrame): Buffer => frame(frameCode(what), (out) => writeFrame(out, what))

/** The frame in these bytes. */
export const heard = ({ type, body }: { readonly type: number; readonly body: Reader }): Frame =>
  readFrame(type, body, { from: asReplicaId('1'), to: asReplicaId('2') })

export const helloFrame = (hello: Partial<Hello> & { readonly greeting: Greeting }): Buffer =>
  said({ type: 'hello', purpose: 'messages', target: '1', attempt: 1, incarnation: 99n, ...hello })

export const greetingOf = (change: Partial<Greeting> = {}): Greeting => ({
  clusterId: '77',
  replicaId: asReplicaId('2'),
  name: 'n2',
  boot: 1,
  term: asTerm(1),
  lastIndex: asIndex(0),
  clusterVersion: 1,
  peer: '127.0.0.1:1',
  ...change,
})

/** A raw socket that reads frames. */
export class RawPeer {
  readonly socket: Socket
  private readonly frames: { type: number; body: Reader }[] = []
  private readonly reader = new FrameReader(1 << 24)
  private wake: () => void = () => {}
  private ended = false

  constructor(socket: Socket) {
    this.socket = socket
    atEnd(() => socket.destroy())
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      this.reader.push(chunk)
      for (let next = this.reader.next(); next !== undefined; next = this.reader.next())
        this.frames.push(next)
      this.wake()
    })
    socket.on('close', () => {
      this.ended = true
      this.wake()
    })
  }

  static async to(address: string): Promise<RawPeer> {
    const socket = connect(portOf(address), '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    return new RawPeer(socket)
  }

  send(type: number, write?: (out: Writer) => void): void {
    this.socket.write(frame(type, write))
  }

  say(what: LinkFrame): void {
    this.socket.write(said(what))
  }

  /** Sends a hello, by default as replica 2 of cluster 77. */
  hello(hello: Partial<Hello> & { readonly greeting: Greeting }): void {
    this.socket.write(helloFrame(hello))
  }

  /** The next frame; undefined after the other side has closed. */
  async next(): Promise<{ type: number; body: Reader } | undefined> {
    while (this.frames.length === 0 && !this.ended) {
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
    return this.frames.shift()
  }

  async closed(): Promise<void> {
    while ((await this.next()) !== undefined);
  }
}

export async function relayTo(address: () => string): Promise<Relay> {
  const relay = await createRelay({
    listen: { host: '127.0.0.1', port: 0 },
    target: () => ({ host: '127.0.0.1', port: portOf(address()) }),
  })
  atEnd(() => relay.close())
  return relay
}

export const portOf = (address: string): number => Number(address.split(':').at(-1))

export interface BareListener {
  readonly server: Server
  readonly address: string
  /** Its connections, in order. */
  accepted(): Promise<RawPeer>
}

/** A listener without a node behind it. */
export async function bareListener(): Promise<BareListener> {
  const sockets: Socket[] = []
  let wake: () => void = () => {}
  const server = createServer((socket) => {
    sockets.push(socket)
    wake()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(() => server.close())
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('not bound')
  return {
    server,
    address: `127.0.0.1:${bound.port}`,
    async accepted() {
      for (;;) {
        const socket = sockets.shift()
        if (socket !== undefined) return new RawPeer(socket)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}
