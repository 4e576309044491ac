// The requests of a new replica to join a cluster, against nodes that are simulated here.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { asReplicaId } from '../../src/raft/types.ts'
import { NodeStartError } from '../../src/server/options.ts'
import { discoverCluster, type JoiningReplica, JoinRefusedError, join } from '../../src/server/start/join.ts'
import { startNode } from '../../src/server/start/start-node.ts'
import { silent } from './peers/tcp/test-nodes.ts'
import { authority } from './tls/certificates.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections()
})

interface Played {
  clusterId: string
  members: { name: string; replica_id: string; peer?: string; url: string }[]
  /** Status of its response to a request for its cluster. */
  says: number
  /** The number of such requests. */
  looks: number
  /** Status of the response to a change. */
  answers: number
  /** The body of all responses, if the test sets it. */
  body: string | undefined
  /** Paths of the requested changes. */
  readonly asked: string[]
  /** The Authorization headers of all requests. */
  readonly shown: (string | undefined)[]
  /** The body of the last requested change. */
  wanted: unknown
  whenAsked: () => void
}

async function played(given: Partial<Played> = {}): Promise<{ url: string; node: Played }> {
  const node: Played = {
    clusterId: '77',
    members: [],
    says: 200,
    looks: 0,
    answers: 200,
    body: undefined,
    asked: [],
    shown: [],
    wanted: undefined,
    whenAsked: () => {},
    ...given,
  }
  const server = createServer((request, response) => {
    let sent = ''
    node.shown.push(request.headers.authorization)
    request
      .on('data', (chunk) => {
        sent += String(chunk)
      })
      .on('end', () => {
        if (request.method === 'POST') {
          node.asked.push(request.url ?? '')
          node.wanted = JSON.parse(sent)
          node.whenAsked()
          const answer = node.body ?? JSON.stringify({ detail: `answers ${node.answers}` })
          response.writeHead(node.answers).end(answer)
          return
        }
        node.looks++
        const seen = { cluster_id: node.clusterId, members: node.members }
        response.writeHead(node.says).end(node.body ?? JSON.stringify(seen))
      })
  })
  return { url: `http://${await addressOf(server)}`, node }
}

/** Host and port at which the server listens, until the test ends. */
async function addressOf(server: Server): Promise<string> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not bound')
  return `127.0.0.1:${address.port}`
}

const joiner: JoiningReplica = {
  ...{ name: 'n4', replicaId: asReplicaId('4'), clusterId: '77' },
  ...{ peer: '127.0.0.1:1', url: 'http://127.0.0.1:2' },
}
const NAMESAKE = { name: 'n4', replica_id: '3', url: '' }

/** Joins through `urls`. The replica is a member as soon as one of `nodes` has accepted a change. */
const joinThrough = (urls: readonly string[], nodes: readonly Played[], replace = false): Promise<void> =>
  join(joiner, {
    ...{ urls, replace, logger: silent },
    isKnown: () => nodes.some(({ asked, answers }) => asked.length > 0 && answers === 200),
  })

test('a node that knows its cluster ignores others that answer where its nodes were', async () => {
  const other = await played({ clusterId: '78' })
  const right = await played()
  const urls = [other.url, right.url]
  expect(await discoverCluster({ urls, clusterId: '77' }, silent)).toMatchObject({ clusterId: '77' })
  // A copy of the cluster has the same id, so the replica contacts only the URLs that it was given.
  const copy = await played()
  right.node.members = [{ name: 'n1', replica_id: '1', url: copy.url }]
  right.node.answers = 503
  const isKnown = (): boolean => right.node.asked.length > 2
  await join(joiner, { urls, clusterId: '77', replace: false, logger: silent, isKnown })
  expect(other.node.asked).toEqual([])
  expect([copy.node.looks, copy.node.asked]).toEqual([0, []])
})

test('a replica of one cluster is never added to another one', async () => {
  const other = await played({ clusterId: '78' })
  const right = await played()
  await expect(joinThrough([other.url, right.url], [right.node])).rejects.toThrow(JoinRefusedError)
  await expect(joinThrough([other.url], [right.node])).rejects.toThrow(/cluster 78.*cluster 77/)
  expect(other.node.asked).toEqual([])
})

test('a member whose address belongs to another cluster by now is passed over', async () => {
  const other = await played({ clusterId: '78' })
  const right = await played({ answers: 503 })
  right.node.members = [{ name: 'n1', replica_id: '1', url: other.url }]
  const joined = joinThrough([right.url], [right.node])
  await expect.poll(() => right.node.asked.length).toBeGreaterThan(2)
  right.node.answers = 200
  await joined
  expect(other.node.asked).toEqual([])
})

test('the name of a member that is gone can be taken, also through a node that does not know yet', async () => {
  const behind = await played({ members: [NAMESAKE] })
  await joinThrough([behind.url], [behind.node])
  expect(behind.node.asked).toEqual(['/v1/cluster/members'])
})

test('a refusal that passes is not taken for one because of a name that has become free', async () => {
  const { url, node } = await played({ members: [NAMESAKE], answers: 409 })
  // With the leader's refusal, the node has also received the newest members.
  node.whenAsked = () => {
    node.members = []
  }
  const joined = joinThrough([url], [node])
  await expect.poll(() => node.asked.length).toBeGreaterThan(1)
  node.answers = 200
  await joined
})

test('a replica that was added, and that the leader does not contact, logs its address', async () => {
  const { url } = await played({
    members: [{ ...NAMESAKE, replica_id: '4', peer: joiner.peer, url: joiner.url }],
  })
  const { said, logger } = listening()
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    let looks = 0
    const isKnown = (): boolean => {
      vi.advanceTimersByTime(4_000)
      return ++looks > 5
    }
    await join(joiner, { urls: [url], replace: false, logger, isKnown })
    expect(said).toEqual([expect.stringMatching(/added, but has received nothing yet.*127\.0\.0\.1:1/)])
  } finally {
    vi.useRealTimers()
  }
})

test('a node that cannot be reached is told of in words, not in codes', async () => {
  const gone = 'http://127.0.0.1:1'
  const { url, node } = await played()
  const { said, logger } = listening()
  await join(joiner, { urls: [gone, url], replace: false, logger, isKnown: () => node.looks > 0 })
  expect(said).toEqual(['not a member yet: connection refused; trying again'])
})

test('a name that is taken is refused, and not asked for again; with --replace its replica is replaced', async () => {
  const { url, node } = await played({ members: [NAMESAKE], answers: 409 })
  await expect(joinThrough([url], [node])).rejects.toThrow(/member named n4 already \(replica 3\).*--replace/)
  expect(node.asked).toEqual(['/v1/cluster/members'])
  node.answers = 200
  node.asked.length = 0
  await joinThrough([url], [node], true)
  expect(node.asked).toEqual(['/v1/cluster/members/n4/replace'])
})

test.each([false, true])('a member that listens elsewhere now says so (--replace: %s)', async (replace) => {
  const before = { name: 'n4', replica_id: '4', peer: '127.0.0.1:3', url: joiner.url }
  const { url, node } = await played({ members: [before], answers: 409 })
  const joined = joinThrough([url], [node], replace)
  // The member is this very replica, so a refusal is no reason to give up.
  await expect.poll(() => node.asked.length).toBeGreaterThan(1)
  node.answers = 200
  await joined
  expect(new Set(node.asked)).toEqual(new Set(['/v1/cluster/members']))
})

test('a clock that is set forward does not end the search for a cluster', async () => {
  const { url, node } = await played({ says: 503 })
  vi.useFakeTimers({ toFake: ['Date'] })
  try {
    const found = discoverCluster({ urls: [url] }, silent)
    while (node.looks < 1) await new Promise(setImmediate)
    vi.setSystemTime(Date.now() + 3_600_000)
    while (node.looks < 3) await Promise.race([new Promise(setImmediate), found])
    node.says = 200
    expect(await found).toMatchObject({ clusterId: '77' })
  } finally {
    vi.useRealTimers()
  }
})

test('a cluster is looked for at each URL in turn, whatever answers there', async () => {
  const gone = await played()
  servers[0]?.close()
  const { url } = await played()
  expect(await discoverCluster({ urls: ['no url', gone.url, url] }, silent)).toMatchObject({
    clusterId: '77',
  })
})

/** A logger that records the texts. */
function listening() {
  const said: string[] = []
  return { said, logger: { ...silent, warn: (_: object, text: string) => void said.push(text) } }
}

test('why it is not a member yet is said once, until there is another reason', async () => {
  const { said, logger } = listening()
  const { url, node } = await played({ answers: 503 })
  node.whenAsked = () => {
    if (node.asked.length === 3) node.answers = 500
    if (node.asked.length === 4) node.body = '[]'
  }
  const isKnown = (): boolean => said.length === 4
  await join(joiner, { urls: [url], replace: false, logger, isKnown })
  expect(said).toEqual([
    'not a member yet: answers 503; trying again',
    'not a member yet: answers 500; trying again',
    `not a member yet: ${url} answered 500; trying again`,
    'not a member yet: that is no quorate node; trying again',
  ])
})

test.each([
  ['no JSON', 200, 'that is no quorate node'],
  ['null', 200, 'that is no quorate node'],
  ['"text"', 200, 'that is no quorate node'],
  ['{"cluster_id":77,"members":[]}', 200, 'that is no quorate node'],
  ['{"cluster_id":"77","members":{}}', 200, 'that is no quorate node'],
  ['{"detail":"loading"}', 503, 'loading'],
  ['{"detail":7}', 503, 'answered 503'],
  ['', 404, 'answered 404'],
])('what answers %j with %i is passed over, and why is said', async (body, says, why) => {
  const { said, logger } = listening()
  const strange = await played({ body, says })
  const found = discoverCluster({ urls: [strange.url] }, logger)
  while (said.length === 0) await new Promise(setImmediate)
  expect(said).toEqual([`cannot reach the cluster yet (${strange.url}: ${why}); trying again`])
  Object.assign(strange.node, { body: undefined, says: 200 })
  expect(await found).toEqual({ clusterId: '77', members: [] })
})

test('the search for a cluster ends after half a minute with what was found last, and pauses ever longer in between', async () => {
  const { said, logger } = listening()
  const { url, node } = await played({ clusterId: '78' })
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  try {
    let failure: unknown
    discoverCluster({ urls: [url], clusterId: '77' }, logger).catch((error: unknown) => {
      failure = error
    })
    while (failure === undefined) {
      await new Promise(setImmediate)
      vi.advanceTimersByTime(5)
    }
    // A service manager may try again later.
    expect(failure).toBeInstanceOf(NodeStartError)
    expect(failure).toMatchObject({ usage: false })
    expect(String(failure)).toContain(
      `no node of the cluster answered within 30 s; last: ${url} belongs to cluster 78, not 77`,
    )
    expect(said).toEqual([
      `cannot reach the cluster yet (${url} belongs to cluster 78, not 77); trying again`,
    ])
    expect(node.looks).toBeGreaterThan(50)
    expect(node.looks).toBeLessThan(125)
  } finally {
    vi.useRealTimers()
  }
})

test('a node shows who it is, and does not try again where it has no right to join', async () => {
  const { url, node } = await played()
  node.whenAsked = () => {
    node.answers = 403
    node.body = JSON.stringify({ code: 'permission_denied', detail: 'user "bob" needs the role root' })
  }
  const options = { replace: false, logger: silent, isKnown: () => false }
  const joining = join(joiner, { urls: [url], authorization: 'Bearer x', ...options })
  await expect(joining).rejects.toThrow(JoinRefusedError)
  await expect(joining).rejects.toThrow(/needs the role root.*--user NAME and KV_PASSWORD, or --token/)
  expect(node.shown).toEqual(['Bearer x', 'Bearer x'])
  const refusing = { urls: [(await played({ says: 401, body: '{"code":"unauthenticated"}' })).url] }
  await expect(discoverCluster(refusing, silent)).rejects.toThrow(JoinRefusedError)
})

// At a higher one it would refuse the members of a cluster that is being upgraded, and end them.
test('a node that joins is at the lowest cluster version until it has the state of the cluster', async () => {
  const { url } = await played({ answers: 503 })
  const dataDir = mkdtempSync(path.join(tmpdir(), 'quorate-join-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true }))
  const loopback = { host: '127.0.0.1', port: 0 }
  const founding = { kind: 'join', urls: [url], replace: false } as const
  const node = await startNode({ name: 'n4', dataDir, founding, listen: loopback, peerListen: loopback })
  onTestFinished(() => node.crash())
  const status = await fetch(`${node.url}/v1/status`)
  expect(await status.json()).toMatchObject({ members: [], cluster_version: 1 })
})

test('a port that is taken while the cluster is searched for leaves no replica behind', async () => {
  const { url, node } = await played({ says: 503 })
  const parent = mkdtempSync(path.join(tmpdir(), 'quorate-join-'))
  onTestFinished(() => rmSync(parent, { recursive: true }))
  const taken = createServer()
  const port = Number((await addressOf(taken)).split(':')[1])
  await new Promise((resolve) => taken.close(resolve))
  const dataDir = path.join(parent, 'n4')
  const started = startNode({
    ...{
      name: 'n4',
      dataDir,
      listen: { host: '127.0.0.1', port },
      peerListen: { host: '127.0.0.1', port: 0 },
    },
    founding: { kind: 'join', urls: [url], replace: false },
  })
  const ended = expect(started).rejects.toThrow('address already in use')
  await expect.poll(() => node.looks).toBeGreaterThan(0)
  await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve))
  node.says = 200
  await ended
  expect(existsSync(dataDir)).toBe(false)
})

test('who joins by https shows no password to a member by http', async () => {
  const plain = await played()
  const ca = authority()
  let looks = 0
  const server = createSecureServer(ca.node('n1'), (request, response) => {
    if (request.method === 'GET') looks++
    const members = [{ name: 'n1', replica_id: '1', url: plain.url }]
    response
      .writeHead(request.method === 'GET' ? 200 : 503)
      .end(JSON.stringify({ cluster_id: '77', members, detail: 'no leader' }))
  })
  const urls = [`https://${await addressOf(server)}`]
  const isKnown = () => looks + plain.node.looks >= 2
  const tls = () => ({ ca: ca.cert })
  await join(joiner, { urls, authorization: 'Basic x', replace: false, logger: silent, isKnown, tls })
  expect(plain.node.shown).toEqual([])
})
