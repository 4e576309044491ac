// A table: every RPC, and every way in which calls end, more of them at a time than are read at once. No byte of them
// is in a budget afterwards, no scan, watch, turn of a reader or listener is left, and others are served.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Agent, request as httpRequest } from 'node:http'
import { connect as connectHttp2, constants } from 'node:http2'
import type { Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { RPC, type RpcDescription } from '../../../src/etcd/rpcs.ts'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import { quickPasswords } from '../../quick-passwords.ts'
import { AS_ROOT, nodeWithUsers } from '../auth/users.ts'
import { FakeNode } from '../http/fake-node.ts'
import { JSON_TYPE, type Served, serve } from '../http/served.ts'
import { frame } from './grpc-call.ts'
import { fails, PROBLEMS, type RpcName, recovers, requestsOf } from './requests.ts'
import { base64, ETCD_WIRES, type Json } from './wires.ts'

quickPasswords()

/** Two ranges are read at a time. */
const LIMITS = { rangesMax: 6, sliceRowsMax: 2, pageRowsMax: 8 }

type AnyRpcDescription = RpcDescription<Json, Json>

/** A call that nobody has ended yet. */
interface Begun {
  readonly ended: Promise<void>
  giveUp(): void
}

/** Begins calls on connections of its own. */
interface Caller {
  begin(rpc: AnyRpcDescription, request: object, timeoutMs?: number): Begun
  close(): void
}

const timeoutOf = (timeoutMs: number | undefined) =>
  timeoutMs === undefined ? {} : { 'grpc-timeout': `${timeoutMs}m` }

function openGrpc(port: number, token?: string): Caller {
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  onTestFinished(() => session.destroy())
  const authorization = token === undefined ? {} : { authorization: token }
  return {
    begin(rpc, request, timeoutMs) {
      const stream = session.request({
        ...{ ':method': 'POST', ':path': rpc.path, 'content-type': 'application/grpc' },
        ...authorization,
        ...timeoutOf(timeoutMs),
      })
      stream.on('error', () => {})
      stream.resume()
      const ended = new Promise<void>((resolve) => void stream.once('close', resolve))
      stream.end(frame(rpc.request.encode(rpc.request.fromJson(request))))
      return { ended, giveUp: () => stream.close(constants.NGHTTP2_CANCEL) }
    },
    close: () => session.destroy(),
  }
}

function openGateway(port: number, token?: string): Caller {
  const begun: Begun[] = []
  const authorization = token === undefined ? {} : { authorization: token }
  return {
    begin({ gateway: [path] }, request, timeoutMs) {
      const headers = { ...JSON_TYPE, ...authorization, ...timeoutOf(timeoutMs) }
      const options = { host: '127.0.0.1', port, method: 'POST', path, headers, agent: false }
      const outgoing = httpRequest(options, (response) => response.on('error', () => {}).resume())
      outgoing.on('error', () => {})
      onTestFinished(() => void outgoing.destroy())
      const ended = new Promise<void>((resolve) => void outgoing.once('close', resolve))
      outgoing.end(JSON.stringify(request))
      begun.push({ ended, giveUp: () => void outgoing.destroy() })
      return { ended, giveUp: () => void outgoing.destroy() }
    },
    close() {
      for (const each of begun) each.giveUp()
    },
  }
}

/** A hash of a password takes a tenth of a second. */
const SLOW = [RPC.userAdd, RPC.userChangePassword, RPC.authenticate] as const

const facts = ({ http, node }: Served) => {
  const { requests, grpcCalls, ranges, operations, ...counts } = http.inspect()
  const { watchBytes, bodyBytes, unauthenticatedBytes, answerBytes, unidentifiedHeadBytes } = counts
  return {
    ...{ requests, grpcCalls, ranges, operations },
    ...{ watchBytes, bodyBytes, unauthenticatedBytes, answerBytes, unidentifiedHeadBytes },
    ...{ watches: node.watches.counts().open, scans: node.openScans, reads: node.openReads },
  }
}

async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

interface Ending {
  /** Before the calls begin. */
  readonly before?: (node: FakeNode) => void
  readonly timeoutMs?: number
  /** When all of them have begun. */
  readonly end: (
    calls: readonly Begun[],
    caller: Caller,
    release: () => void,
    served: Served,
  ) => void | Promise<void>
  readonly after?: (node: FakeNode) => void
}

const ENDINGS: Readonly<Record<string, Ending>> = {
  'are answered': { timeoutMs: 300, end: (_, __, release) => release() },
  'are refused': {
    before: (node) => fails(node, false, PROBLEMS.noLeader, PROBLEMS.noLeader),
    timeoutMs: 300,
    end: (_, __, release) => release(),
    after: recovers,
  },
  'are not answered in time': {
    before: (node) => fails(node, true, PROBLEMS.unknown, PROBLEMS.noQuorum),
    timeoutMs: 60,
    end: (_, __, release) => release(),
    after: recovers,
  },
  'are given up': {
    end: (calls, _, release) => {
      for (const call of calls) call.giveUp()
      release()
    },
  },
  'are given up before the node answers': {
    async end(calls, _, release, served) {
      for (const call of calls) call.giveUp()
      // Requests of HTTP wait for the changes that they have begun.
      await expect.poll(() => served.http.inspect().grpcCalls).toBe(0)
      await turns()
      release()
    },
  },
  'are given up while they are read': {
    before(node) {
      let slices = 0
      node.onSlice = () => void slices++
    },
    async end(calls, _, release) {
      release()
      await turns(6)
      for (const call of calls) call.giveUp()
    },
    after(node) {
      node.onSlice = undefined
    },
  },
  'lose their connection': {
    async end(_, caller, release) {
      caller.close()
      await turns()
      release()
    },
  },
  'lose their user': {
    end(_, caller, release, { node }) {
      node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'delete-user', name: 'bob' } })
      release()
      setImmediate(() => caller.close())
    },
  },
}

describe.each([
  ['gRPC', openGrpc, ETCD_WIRES[0]],
  ["etcd's JSON gateway", openGateway, ETCD_WIRES[1]],
] as const)('calls of %s', (_, open, wire) => {
  test.each(Object.entries(ENDINGS))(
    'that %s leave nothing behind',
    async (ending, { before, timeoutMs, end, after }) => {
      const isOfUser = ending === 'lose their user'
      const node = isOfUser ? nodeWithUsers() : new FakeNode()
      const token = isOfUser ? AS_ROOT.Authorization : undefined
      for (let at = 0; at < 40; at++) node.put(`k/${at}`, 'v'.repeat(500))
      node.apply({ kind: 'grant', id: '7' as LeaseId, ttlMs: 60_000 })
      const served = await serve({ node, limits: LIMITS })
      const openChecked = wire?.[1] ?? expect.fail('no wire')
      // The gateway is loaded for the first request.
      await openChecked(served.port, token === undefined ? {} : { token })(RPC.range, { key: base64('a') })
      await expect.poll(() => facts(served)).toMatchObject({ requests: 0, grpcCalls: 0 })
      const first = facts(served)
      for (let round = 0; round < 2; round++) {
        const held: (() => void)[] = []
        let isReleased = false
        node.hold = (go) => (isReleased ? go() : void held.push(go))
        before?.(node)
        const caller = open(served.port, token)
        const calls = [1, 2].flatMap((copy) =>
          Object.entries(requestsOf(`${round}-${copy}`)).flatMap(([rpcName, [, request]]) => {
            const rpc = RPC[rpcName as RpcName]
            // A change of rights is for another table.
            if (rpc.path.includes('AuthEnable') || (open === openGateway && rpc.gateway.length === 0))
              return []
            return [caller.begin(rpc as AnyRpcDescription, request, timeoutMs)]
          }),
        )
        await turns(40)
        const release = (): void => {
          isReleased = true
          for (const go of held) go()
        }
        await end(calls, caller, release, served)
        // Streams without an end.
        if (timeoutMs === undefined) caller.close()
        await Promise.all(calls.map(({ ended }) => ended))
        after?.(node)
        caller.close()
        await expect.poll(() => facts(served)).toEqual(first)
        const callOthers = openChecked(served.port, token === undefined ? {} : { token })
        const all = { key: base64('k/'), range_end: base64('k0') }
        const readers = [RPC.range, RPC.range, RPC.range, RPC.hashKv, RPC.rangeStream, RPC.leaseLeases]
        const answers = await Promise.all(
          readers.map((rpc) => callOthers(rpc, rpc === RPC.hashKv ? {} : all)),
        )
        expect(answers.map(({ error }) => error)).toEqual(readers.map(() => undefined))
      }
      expect(served.logged.filter((line) => line.includes('failed'))).toEqual([])
    },
  )
})

test('a kept connection of the gateway has the listeners that it had, after any number of calls', async () => {
  const sockets: Socket[] = []
  const opened = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket }
    sockets.push(socket)
  }
  subscribe('net.server.socket', opened)
  onTestFinished(() => void unsubscribe('net.server.socket', opened))
  const { port, node } = await serve()
  node.apply({ kind: 'grant', id: '7' as LeaseId, ttlMs: 60_000 })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  const call = (path: string, request: object) =>
    new Promise<void>((resolve, reject) => {
      const options = { host: '127.0.0.1', port, method: 'POST', path, headers: JSON_TYPE, agent }
      const outgoing = httpRequest(options, (response) => response.on('end', resolve).resume())
      outgoing.on('error', reject).end(JSON.stringify(request))
    })
  const left = [RPC.watch, RPC.observe, RPC.snapshot, RPC.authEnable, ...SLOW].map(
    ({ path }) => path as string,
  )
  const listeners = (): Readonly<Record<string, number>> => {
    const [socket] = sockets
    if (socket === undefined) throw new Error('the server has accepted no connection')
    return Object.fromEntries(
      socket.eventNames().map((event) => [String(event), socket.listenerCount(event)]),
    )
  }
  let first: Readonly<Record<string, number>> | undefined
  for (let round = 0; round < 3; round++)
    for (const [rpcName, [, request]] of Object.entries(requestsOf(`${round}`))) {
      // The name of the lock is taken.
      const own = rpcName === 'campaign' ? { ...request, name: base64(`c${round}`) } : request
      const rpc = RPC[rpcName as RpcName]
      const {
        gateway: [path],
      } = rpc as AnyRpcDescription
      if (path === undefined || left.includes(rpc.path)) continue
      await call(path, own)
      await turns(3)
      first ??= listeners()
      expect([rpcName, listeners()]).toEqual([rpcName, first])
    }
  expect(sockets).toHaveLength(1)
})
